"""Logs as JSON lines: a sentence that is always the same, and what it is about in fields.

`log.info("change landed", extra=fields(revision=7))` becomes `{"time": ..., "level": "info", "scope": "xds",
"msg": "change landed", "revision": 7}`, the keys that istiod's `--log_as_json` has.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

_FIELDS: Final = "fields_of_record"
_DISTRIBUTIONS: Final = ("pilotpy", "pilotpy_ca")
_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """What goes into `extra`: the fields of one line."""
    return {_FIELDS: values}


class JsonLines(logging.Formatter):
    """Formats records as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "scope": _scope(record),
            "msg": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line).decode()


class TextLines(logging.Formatter):
    """Formats records for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        said = "".join(f"  {name}={value}" for name, value in getattr(record, _FIELDS, {}).items())
        line = f"{_time(record)}  {record.levelname.lower():8}{_scope(record):12}{record.getMessage()}{said}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to(stream: TextIO = sys.stderr, *, as_json: bool, level: int = logging.INFO) -> None:
    """Write the logs of pilotpy and of its certificate authority to a stream, and to no other."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    for name in _DISTRIBUTIONS:
        log = logging.getLogger(name)
        log.handlers[:] = [handler]
        log.setLevel(level)
        log.propagate = False


def _time(record: logging.LogRecord) -> str:
    """When it was said, to the millisecond, as RFC 3339 writes it: "2026-01-31T23:59:00.123Z"."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _scope(record: logging.LogRecord) -> str:
    """Which part says so: "ads", "ca.front"."""
    return record.name.removeprefix("pilotpy.").removeprefix("pilotpy_")
