"""What an API server answers, told from what is none of its answers: pages of lists, and lines of watches. No I/O.

Proxies, login pages and servers that are about to end answer, too.
"""

from __future__ import annotations

import msgspec

from pilotpy.sources.kubernetes import wire
from pilotpy.sources.kubernetes.trouble import Trouble, Unreachable
from pilotpy.sources.kubernetes.wire import Event, Page


def page(body: bytes) -> Page:
    """A page of a list, which is of a version. Raises `Unreachable`."""
    try:
        found = wire.page(body)
    except msgspec.DecodeError as error:
        raise Unreachable(f"not a list: {error}") from error
    if not found.metadata.resource_version:
        raise Unreachable("not a list: it is of no version")
    return found


def events(lines: list[bytes]) -> tuple[list[Event], Trouble | None]:
    """The events of some lines up to the first that is none, and what that one means."""
    found: list[Event] = []
    for line in lines:
        if not line:
            continue
        try:
            event = wire.event(line)
            if event.type == "ERROR":
                return found, wire.status(event.object).refusal(500)
            wire.versioned(event.object) if event.type == "BOOKMARK" else wire.named(event.object)
        except msgspec.DecodeError as error:
            return found, Unreachable(f"not a watch event: {error}")
        found.append(event)
    return found, None
