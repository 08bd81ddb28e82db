"""What differs between two documents of one proxy, in the terms of what it is served.

From two documents (type -> resources as plain data) to a list of differences, ordered by type, name and path. Items of
a list are matched by what they are called, not by where they stand, so that one more cluster is one difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pilotpy.explain.document import name_of

_MISSING: Any = object()


class Difference(NamedTuple):
    """One thing that was added (+), removed (-) or changed (~)."""

    mark: str
    type: str  # "clusters"
    resource: str  # its name
    path: str = ""  # inside the resource; "": the whole of it
    before: Any = None
    after: Any = None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return all differences between two documents; empty if a proxy would not notice."""
    return [
        difference
        for kind in sorted({*before, *after})
        for difference in _of_type(kind, before.get(kind) or [], after.get(kind) or [])
    ]


def _of_type(kind: str, before: Any, after: Any) -> Iterator[Difference]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted({*old, *new}):
        if name not in new:
            yield Difference("-", kind, name)
        elif name not in old:
            yield Difference("+", kind, name)
        else:
            for path, was, is_ in _inside("", old[name], new[name]):
                mark = "+" if was is _MISSING else "-" if is_ is _MISSING else "~"
                yield Difference(mark, kind, name, path, *(None if v is _MISSING else v for v in (was, is_)))


def _by_name(resources: Any) -> dict[str, Any]:
    listed = resources if isinstance(resources, list) else [resources]
    return {name_of(resource): resource for resource in listed}


def _inside(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            below = f"{path}.{key}" if path else key
            yield from _inside(below, before.get(key, _MISSING), after.get(key, _MISSING))
    elif isinstance(before, list) and isinstance(after, list):
        old, new = _called(before), _called(after)
        for call in dict.fromkeys([*old, *new]):
            yield from _inside(f"{path}[{call}]", old.get(call, _MISSING), new.get(call, _MISSING))
        if old == new:
            yield path, list(old), list(new)  # the same things in another order
    else:
        yield path, before, after


def _called(items: Sequence[Any]) -> dict[str, Any]:
    """Return the items of a list by what they are called; by position where that does not tell them apart."""
    calls = [_call(item) for item in items]
    if None in calls or len(set(calls)) < len(calls):
        calls = [str(at) for at in range(len(items))]
    return {str(call): item for call, item in zip(calls, items, strict=True)}


def _call(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return str(item)
    for key in ("name", "cluster_name", "key"):
        if isinstance(item.get(key), str) and item[key]:
            return str(item[key])
    address = item.get("endpoint", {}).get("address", {}).get("socket_address")
    if address:
        return f"{address.get('address')}:{address.get('port_value')}"
    return None
