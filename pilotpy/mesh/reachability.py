"""From the HTTP rules of a VirtualService to what in them can never be reached.

Rules are tried in order. Source: Istio's analyzers IST0130 and IST0131.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.model.virtual_service import HTTPMatchRequest, HTTPRoute


def unreachable(rules: Sequence[tuple[HTTPRoute, Ref, str]]) -> Iterator[Finding]:
    """Yield what is wrong with rules in order; each is a route, the object that it is written in, and its field."""
    seen: dict[bytes, str] = {}
    catch_all = ""
    for route, ref, field in rules:
        if catch_all:
            yield _unused(ref, field, f"{catch_all} before it takes every request")
            continue
        keys = [msgspec.json.encode(_bare(match), order="deterministic") for match in route.match]
        repeated = {number: seen[key] for number, key in enumerate(keys) if key in seen}
        if route.match and len(repeated) == len(keys):
            yield _unused(ref, field, f"its matches are those of {', '.join(dict.fromkeys(repeated.values()))}")
        else:
            for number, first in repeated.items():
                yield Finding(
                    code="IST0131",
                    severity=Severity.INFO,
                    message=f"Match is never used: it repeats one of {first}",
                    ref=ref,
                    field=f"{field}.match[{number}]",
                    hint="remove it, or make it differ",
                )
        for key in keys:
            seen.setdefault(key, field)
        if not route.match or any(_takes_all(match) for match in route.match):
            catch_all = field


def _unused(ref: Ref, field: str, why: str) -> Finding:
    return Finding(
        code="IST0130",
        severity=Severity.WARNING,
        message=f"Rule is never used: {why}",
        ref=ref,
        field=field,
        hint="remove it, or move it before those",
    )


def _bare(match: HTTPMatchRequest) -> HTTPMatchRequest:
    return replace(match, name="", stat_prefix="")


def _takes_all(match: HTTPMatchRequest) -> bool:
    bare = _bare(match)
    uri = bare.uri
    everything = uri is None or uri.prefix == "/" or uri.regex == ".*"
    return everything and replace(bare, uri=None, ignore_uri_case=False) == HTTPMatchRequest()
