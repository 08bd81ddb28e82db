"""Rules of a VirtualService that can never apply, because one before them takes everything that they match.

Source: istio/istio pkg/config/validation/validation.go, analyzeUnreachableHTTPRules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from pilotpy.model.resource import Severity
from pilotpy.model.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch, TCPRoute, TLSRoute
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning

_UNREACHABLE = "IST0130"
_INEFFECTIVE = "IST0131"
_HINT = "Put the narrower match first, or take it out"


def rules(routes: Sequence[HTTPRoute | TCPRoute | TLSRoute], at: str) -> Problems:
    """Rules after one that matches all, and matches that an earlier rule has already."""
    seen: dict[str, int] = {}
    catch_all: int | None = None
    for i, route in enumerate(routes):
        here = below(at, i)
        if not route.match:
            if catch_all is not None:
                yield _unused(route, i, here, "only the last rule can have no matches")
            catch_all = i
            continue
        if catch_all is not None:
            for _ in route.match:
                yield _unused(route, i, here, "route without matches defined before")
            continue
        repeated = 0
        for j, match in enumerate(route.match):
            condition = _condition(match)
            if condition in seen:
                repeated += 1
                first = seen[condition]
                yield _ineffective(
                    below(f"{here}.match", j), _name(route, i), _name(match, j), _name(routes[first], first)
                )
            else:
                seen[condition] = i
        if repeated == len(route.match):
            yield _unused(route, i, here, "all matches used by prior rules")


def http_rules(routes: Sequence[HTTPRoute], at: str) -> Problems:
    """As `rules`, and also matches whose prefix an earlier, wider one covers."""
    yield from rules(routes, at)
    earlier: defaultdict[str, list[_Prefixed]] = defaultdict(list)
    for one in _prefixed(routes, at):
        shorter = (one.prefix[:length] for length in range(1, len(one.prefix)))
        for wide in (wide for prefix in shorter if prefix in earlier for wide in earlier[prefix]):
            if _covers(wide, one):
                yield _ineffective(
                    one.at,
                    one.rule,
                    f"{one.match} of prefix {one.prefix}",
                    f"{wide.match} of prefix {wide.prefix} on {wide.rule}",
                )
        earlier[one.prefix].append(one)


class _Prefixed(NamedTuple):
    """A match by prefix, and what else it asks for."""

    at: str
    rule: str
    match: str
    prefix: str
    port: int
    texts: Mapping[str, str]  # conditions on method, authority, headers, ...: "exact:x", "prefix:x" or ""


def _prefixed(routes: Sequence[HTTPRoute], at: str) -> list[_Prefixed]:
    found = []
    seen: set[str] = set()
    for i, route in enumerate(routes):
        if not route.match:
            break
        for j, match in enumerate(route.match):
            condition = _condition(match)
            if match.uri and match.uri.prefix and condition not in seen:
                here = below(f"{below(at, i)}.match", j)
                found.append(
                    _Prefixed(here, _name(route, i), _name(match, j), match.uri.prefix, match.port, _texts(match))
                )
            seen.add(condition)
    return found


def _texts(match: HTTPMatchRequest) -> dict[str, str]:
    texts = {"method": _text(match.method) or "exact:GET", "authority": _text(match.authority)}
    for field in ("headers", "query_params", "without_headers"):
        texts |= {f"{field} {name}": _text(one) for name, one in getattr(match, field).items()}
    return texts


def _text(match: StringMatch | None) -> str:
    if match is None:
        return ""
    return f"exact:{match.exact}" if match.exact else f"prefix:{match.prefix}" if match.prefix else ""


def _covers(wide: _Prefixed, narrow: _Prefixed) -> bool:
    """Of two matches of which one has a prefix of the other's prefix."""
    return (
        narrow.port == wide.port
        and narrow.texts.keys() == wide.texts.keys()
        and all(wide.texts[name].startswith(text) for name, text in narrow.texts.items())
    )


def _condition(match: Any) -> str:
    """The same text for matches that mean the same: their names do not count."""
    if isinstance(match, HTTPMatchRequest):
        match = msgspec.structs.replace(match, name="")
    return msgspec.json.encode(match, order="deterministic").decode()


def _unused(route: Any, index: int, at: str, reason: str) -> Problem:
    return warning(at, f"Rule {_name(route, index)} is not used: {reason}", _HINT, code=_UNREACHABLE)


def _ineffective(at: str, rule: str, match: str, by: str) -> Problem:
    message = f"Match {match} of rule {rule} is not used: it is in rule {by} already"
    return Problem(at, message, _HINT, code=_INEFFECTIVE, severity=Severity.INFO)


def _name(one: Any, index: int) -> str:
    name = getattr(one, "name", "")
    return f'"{name}"' if name else f"#{index}"
