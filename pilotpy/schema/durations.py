"""Durations as users write them, in ProtoJSON ("1.5s") or in Go ("1h30m", "500ms"), or as the Gateway API has them.

Source: https://pkg.go.dev/time#ParseDuration; GEP-2257 of kubernetes-sigs/gateway-api.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

from pilotpy.model.message import Duration, ShortDuration

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

SHORT: Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
"""The form of a short duration, as an expression of definitions."""
_SHORT = re.compile(SHORT.removeprefix("^").removesuffix("$"), re.ASCII)


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


def short_duration(text: str) -> ShortDuration:
    """The span that the text names. Raises ValueError with a sentence for the user."""
    if _SHORT.fullmatch(text) is None:
        raise ValueError(f'{text[:64]!r} is not a duration of up to four whole numbers with units, such as "1m30s"')
    span = duration(text)
    return ShortDuration(days=span.days, seconds=span.seconds, microseconds=span.microseconds)


def written_short(span: timedelta) -> str:
    """The same as text. Raises ValueError for what has no such form: negative, finer than a millisecond, too long."""
    milliseconds, finer = divmod(span, timedelta(milliseconds=1))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (milliseconds // 1000, "s"), (milliseconds % 1000, "ms"))
    text = "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
    if finer or _SHORT.fullmatch(text) is None:
        raise ValueError(f"{span} cannot be written with whole numbers of up to five digits")
    return text
