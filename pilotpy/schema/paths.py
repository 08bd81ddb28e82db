"""Field paths inside an object: ``spec.http[0].route[1].weight``, ``metadata.labels["app.kubernetes.io/name"]``."""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ESCAPED = re.compile(r"\\(.)")
_STEP = re.compile(r'\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)')


def below(path: str, step: str | int) -> str:
    """The path one step further down, into a key of a mapping or an item of a list."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if _PLAIN.fullmatch(step):
        return f"{path}.{step}" if path else step
    quoted = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'


def steps(path: str) -> tuple[str | int, ...]:
    """The keys and indexes that a path is made of; empty for the empty path."""
    found = _STEP.findall(path)
    return tuple(int(index) if index else plain or _ESCAPED.sub(r"\1", quoted) for index, quoted, plain in found)


def remove(value: Any, path: str) -> None:
    """Takes the field out of nested mappings and lists, in place, if it is (still) there."""
    *outer, last = steps(path)
    for step in outer:
        value = value[step]
    if last in (range(len(value)) if isinstance(value, list) else value):
        del value[last]
