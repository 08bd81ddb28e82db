"""Tables for a terminal: upper-case headers, columns by width, nothing wrapped; as istioctl prints them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; on a terminal, lines that are too long end in an ellipsis."""
    lines = [tuple(map(str, header)), *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    most = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return "\n".join(_line(line, widths, most) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], most: int) -> str:
    line = "   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line[: most - 1] + "…" if most and len(line) > most else line
