"""From a regular expression to what RE2 has against it.

Envoy refuses a whole route table for one expression that RE2 does not take, so each is compiled before it is sent: by
RE2 itself, with Envoy's options (bytes, not characters; a bound on the size of the program).
Source: Envoy ``source/common/common/regex.cc``.
"""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]  # it comes without types

RE2 = "write it in the syntax of RE2, github.com/google/re2/wiki/Syntax"  # a hint for authors

_LARGEST = 32768  # instructions, as bootstraps of Istio's kind allow; Envoy alone allows 100

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


def refusal(regex: str) -> str | None:
    """Why RE2 refuses an expression, in its own words; None if it takes it."""
    try:
        program = _compiled(regex)
    except re2.error as words:
        said = words.args[0]
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return "pattern too large" if program.programsize > _LARGEST else None


def capture_groups(regex: str) -> int:
    """How many groups of an expression that RE2 takes can be referred to."""
    return int(_compiled(regex).groups)


def matches(regex: str, text: str) -> bool:
    """Tell whether the whole of a text matches an expression that RE2 takes."""
    return _compiled(regex).fullmatch(text.encode(errors="surrogatepass")) is not None


def _compiled(regex: str) -> Any:
    return re2.compile(regex.encode(errors="surrogatepass"), _OPTIONS)
