"""Plain YAML scalars as Kubernetes reads them: YAML 1.1 as in go-yaml v2, on the way to JSON.

That means: yes, on and y are true; 0o17, 017 and 0x0f are numbers; 12:30 and dates are text; a
float without a fraction is an integer, because JSON does not tell them apart.
Source: sigs.k8s.io/yaml and its goyaml.v2, resolve.go.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9]\d*|0)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)
_MAY_BE_NUMBER = frozenset("+-.0123456789")


def plain(text: str) -> Scalar:
    """What an unquoted scalar says. Raises ValueError for infinities and NaN, which JSON does not have."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    digits = text.replace("_", "")
    if (integer := _INTEGER.fullmatch(digits)) and len(digits) <= 66:
        number = _integer(integer[2])
        if number < 2**64:
            return -number if integer[1] == "-" else number
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        if math.isinf(value):
            raise ValueError(f"{text[:40]} is too large a number")
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if _NOT_JSON.fullmatch(text):
        raise ValueError(f"{text} is not a number that JSON has")
    return text


def key(text: str) -> str:
    """What an unquoted scalar says as a key: JSON's keys are text. Raises ValueError for null."""
    value = plain(text)
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("null cannot be a key")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _integer(digits: str) -> int:
    prefix = digits[:2].lower()
    if prefix in {"0x", "0b", "0o"}:
        return int(digits, 0)
    return int(digits, 8) if digits[0] == "0" else int(digits)
