"""Durations as users write them, in ProtoJSON ("1.5s") or in Go ("1h30m", "500ms").

Source: https://pkg.go.dev/time#ParseDuration.
"""

from __future__ import annotations

import re
from decimal import Decimal

from pilotpy.model.message import Duration

_MICROSECONDS = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "\u00b5s": Decimal(1),
    "\u03bcs": Decimal(1),
    "ms": Decimal(10**3),
    "s": Decimal(10**6),
    "m": Decimal(60 * 10**6),
    "h": Decimal(3600 * 10**6),
}
_LONGEST = Decimal(2**63) / 1000
_TERM = r"(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
_DURATION = re.compile(rf"([-+]?)(0|(?:{_TERM})+)", re.ASCII)
_TERMS = re.compile(r"(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]+)", re.ASCII)


def duration(text: str) -> Duration:
    """The span that the text names, in whole microseconds. Raises ValueError with a sentence for the user."""
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > 64:
        raise ValueError(f'{text[:64]!r} is not a duration such as "5s", "500ms" or "1h30m"')
    microseconds = sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in _TERMS.findall(match[2]))
    if microseconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than 292 years")
    if microseconds % 1:
        raise ValueError(f"{text!r} is finer than a microsecond")
    return Duration(microseconds=int(-microseconds if match[1] == "-" else microseconds))
