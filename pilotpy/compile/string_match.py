"""From a condition on a string to Envoy's matcher of it.

Source: Envoy ``type/matcher/v3/string.proto``; Istio ``StringMatch``.
"""

from __future__ import annotations

from pilotpy.model.virtual_service import StringMatch
from pilotpy.schema.re2 import refusal
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher


def is_presence(match: StringMatch) -> bool:
    """Whether a condition asks only that the string is there: an empty one, and "*", which is no expression."""
    return match.regex == "*" or (match.exact is None and match.prefix is None and match.regex is None)


def flaw(match: StringMatch) -> str:
    """Why Envoy would refuse a condition; "" if it takes it."""
    if is_presence(match):
        return ""
    if match.exact is None and match.prefix == "":
        return "a prefix needs at least one character"
    if match.exact is None and match.prefix is None and match.regex is not None:
        return _expression_flaw(match.regex)
    return ""


def _expression_flaw(regex: str) -> str:
    why = refusal(regex) if regex else "it is empty"
    return f"Envoy refuses the expression {regex!r}: {why}" if why else ""


def matcher(match: StringMatch) -> StringMatcher:
    """Envoy's form of a condition that is neither flawed nor one of presence."""
    if match.exact is not None:
        return StringMatcher(exact=match.exact)
    if match.prefix is not None:
        return StringMatcher(prefix=match.prefix)
    made = StringMatcher()
    made.safe_regex.regex = match.regex or ""
    return made
