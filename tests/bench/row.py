"""One figure: what was measured on what, printed as a line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_PAGE = 4096


def row(case: str, what: str, value: float, unit: str, aim: str = "") -> None:
    """Print one figure; with what it should be, if that was ever said: "< 300"."""
    said = {"case": case, "what": what, "value": round(value, 4), "unit": unit, "aim": aim}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
