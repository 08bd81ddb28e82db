"""One JSON object a line, whatever is in it."""

from __future__ import annotations

import json
import logging

import pytest

from pilotpy.ops.logs import JsonLines, TextLines, fields


def record(message: str, error: BaseException | None = None, **said: object) -> logging.LogRecord:
    made = logging.LogRecord("pilotpy.ads", logging.INFO, "f", 1, message, (), error and (type(error), error, None))
    made.created = 1_800_000_000.5
    made.__dict__.update(fields(**said))
    return made


@pytest.mark.parametrize("reason", ["plain", "two\nlines", '"quoted"', "\x00"])
def test_a_line_stays_one_line(reason):
    line = JsonLines().format(record("rejected", reason=reason))
    assert "\n" not in line
    assert json.loads(line)["reason"] == reason


def test_what_is_known_of_every_line():
    line = json.loads(JsonLines().format(record("connected", connection="web-1")))
    assert line.pop("time") == "2027-01-15T08:00:00.500Z"
    assert line == {"level": "info", "scope": "ads", "msg": "connected", "connection": "web-1"}


def test_an_error_brings_its_stack():
    assert "ValueError: no" in json.loads(JsonLines().format(record("failed", ValueError("no"))))["stack"]


def test_for_people_it_is_a_time_a_sentence_and_its_fields():
    line = TextLines().format(record("connected", connection="web-1"))
    assert line == "2027-01-15T08:00:00.500Z  info    ads         connected  connection=web-1"
