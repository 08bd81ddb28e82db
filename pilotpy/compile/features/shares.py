"""Shares of requests as Envoy writes them."""

from __future__ import annotations

from pilotpy_protos.envoy.type.v3.percent_pb2 import FractionalPercent


def per_hundred(percent: int) -> FractionalPercent:
    """A whole number of percent, 0 to 100; what lies outside is brought to the nearer end."""
    return FractionalPercent(numerator=min(max(percent, 0), 100), denominator=FractionalPercent.HUNDRED)


def per_million(percent: float) -> FractionalPercent:
    """A percentage, 0.0 to 100.0, to the ten thousandth part; what lies outside is brought to the nearer end."""
    parts = round(min(max(percent, 0.0), 100.0) * 10_000)
    return FractionalPercent(numerator=parts, denominator=FractionalPercent.MILLION)
