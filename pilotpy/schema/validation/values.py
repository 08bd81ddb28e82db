"""Durations, shares, statuses, headers and expressions, as Istio and Envoy admit them.

Source: istio/istio pkg/config/validation/validation.go and header_value_validator.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from pilotpy.model.virtual_service import HeaderOperations, Headers, StringMatch
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.re2 import refusal

_MILLISECOND = timedelta(milliseconds=1)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STRING = r'"(?:\\.|[^"\\])*+"'
_ARGUMENTS = rf'\((?: *\[ *{_STRING}(?: *, *{_STRING})*+ *\] *|(?:\\.|[^")\\])*+)\) *'
_HEADER_VALUE = re.compile(rf"(?>[^%]|%%|%(?:[^%(]|(?=\())[^%(]*+(?:{_ARGUMENTS})?%)*+", re.DOTALL)

AS_HEADER: Final = "Letters, digits, dashes and underscores: x-request-id"
PSEUDO_HEADERS: Final = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
CLAIM: Final = "@request.auth.claims"
"""Prefix of a header name in a match that means a claim of the request's token."""


def duration(value: timedelta | None, at: str) -> Problems:
    """At least a millisecond, and in whole ones. None: not written, which is fine."""
    if value is None:
        return
    if value < _MILLISECOND:
        yield Problem(at, "A duration must be at least 1ms")
    elif value % _MILLISECOND:
        yield Problem(at, "A duration must be in whole milliseconds")


def not_negative(number: float, at: str) -> Problems:
    """Zero or more."""
    if number < 0:
        yield Problem(at, f"{number} is negative", "Write 0 or more")


def percent(number: float, at: str) -> Problems:
    """A share, 0 to 100."""
    if not 0 <= number <= 100:
        yield Problem(at, f"{number} is not from 0 to 100")


def http_status(status: int, at: str) -> Problems:
    """A status that an answer may have."""
    if not 200 <= status <= 600:
        yield Problem(at, f"{status} is not a status from 200 to 599")


def regex(text: str, at: str) -> Problems:
    """An expression that Envoy takes, which is RE2's syntax, and of a bounded size."""
    if not text:
        yield Problem(at, "The expression is empty", 'Write ".*" for anything, or leave the match out')
    elif len(text) > 1024:
        yield Problem(at, "The expression has more than 1024 characters")
    elif (reason := refusal(text)) is not None:
        yield Problem(at, f"Envoy would refuse the expression: {reason}", "Expressions are RE2's")


def string_match(match: StringMatch | None, at: str) -> Problems:
    """A condition on a string that may hold for some and not for all."""
    if match is None:
        return
    if match.prefix == "":
        yield Problem(below(at, "prefix"), "The prefix is empty", "Write a prefix, or leave the match out")
    if match.regex is not None:
        yield from regex(match.regex, below(at, "regex"))


def matched_header_name(name: str, at: str) -> Problems:
    """A header that a match may ask for: also pseudo-headers and claims."""
    if not name:
        yield Problem(at, "The name of a header may not be empty")
    elif not (is_claim(name) or name in PSEUDO_HEADERS or _HEADER_NAME.fullmatch(name)):
        yield Problem(at, f"{name!r} is not the name of a header", AS_HEADER)


def is_claim(name: str) -> bool:
    """The name means a claim: ``@request.auth.claims.a`` or ``@request.auth.claims[a][b]``."""
    lowered = name.lower()
    return lowered.startswith((f"{CLAIM}.", f"{CLAIM}["))


def is_host(name: str) -> bool:
    """The header that names the host."""
    return name.lower() in {":authority", "host"}


def listed_header_name(name: str, at: str) -> Problems:
    """A header that CORS lists; ``*`` is all."""
    if name != "*" and not _HEADER_NAME.fullmatch(name):
        yield Problem(at, f"{name!r} is not the name of a header", AS_HEADER)


def headers(changes: Headers | None, at: str) -> Problems:
    """Changes to headers that Envoy can make."""
    if changes is None:
        return
    if changes.request:
        yield from _operations(changes.request, below(at, "request"), may_name_host=True)
    if changes.response:
        yield from _operations(changes.response, below(at, "response"), may_name_host=False)


def _operations(operations: HeaderOperations, at: str, *, may_name_host: bool) -> Problems:
    for field, given in (("add", operations.add), ("set", operations.set)):
        yield from _written(given, below(at, field), may_name_host=may_name_host)
    yield from _removed(operations.remove, below(at, "remove"))


def _written(given: Mapping[str, str], at: str, *, may_name_host: bool) -> Problems:
    for name, value in given.items():
        here = below(at, name)
        if not (may_name_host and is_host(name)):
            yield from _changed_name(name, here)
        if _CONTROL.search(value):
            yield Problem(here, "A header's value may not contain control characters")
        elif not _HEADER_VALUE.fullmatch(value):
            yield Problem(here, f"{value!r} has a % that begins no variable", 'Write "%%" for a percent sign')


def _removed(names: Iterable[str], at: str) -> Problems:
    for i, name in enumerate(names):
        yield from _changed_name(name, below(at, i))


def _changed_name(name: str, at: str) -> Problems:
    if not name:
        yield Problem(at, "The name of a header may not be empty")
    elif name.startswith(":") or is_host(name):
        yield Problem(at, f"Header {name!r} cannot be changed here")
