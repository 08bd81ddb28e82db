"""Durations as users write them, in ProtoJSON ("1.5s") or in Go ("1h30m", "500ms").

Source: https://pkg.go.dev/time#ParseDuration.
"""

from __future__ import annotations

import re

from pilotpy.model.message import Duration

_MICROSECONDS = {"ns": 0.001, "us": 1.0, "\u00b5s": 1.0, "\u03bcs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_TERM = r"(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
_DURATION = re.compile(rf"([-+]?)(0|(?:{_TERM})+)", re.ASCII)
_TERMS = re.compile(r"(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]+)", re.ASCII)


def duration(text: str) -> Duration:
    """The span that the text names. Raises ValueError where it names none, or one beyond 292 years as Go does."""
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > 64:
        raise ValueError(f'{text[:64]!r} is not a duration such as "5s", "500ms" or "1h30m"')
    microseconds = sum(float(number) * _MICROSECONDS[unit] for number, unit in _TERMS.findall(match[2]))
    if microseconds > 2**63 / 1000:
        raise ValueError(f"{text!r} is longer than 292 years")
    return Duration(microseconds=-microseconds if match[1] == "-" else microseconds)
