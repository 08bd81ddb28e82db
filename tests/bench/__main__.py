"""``make bench``: measures, prints a table and writes ``build/bench.json``. Asserts nothing.

Each part runs in a process of its own, so that its memory and its garbage are its own; a part is a module here that
prints rows as JSON. ``make bench ARGS="compile push"`` runs some parts only.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

PARTS = {
    "compile": [["compile", "1000"], ["compile", "10000"]],
    "push": [["push", "100"], ["push", "500"], ["push", "1000"], ["push", "500", "tls"]],
    "kubernetes": [["watching", "10000"], ["kube", "1000"], ["kube", "10000"]],
    "envoy": [["envoy"]],
    "agent": [["agent", "1"], ["agent", "50"]],
    "ca": [["ca"]],
    "identity": [["identity", "1000"]],
}
RESULT = Path("build/bench.json")
_HEAD = f"{'case':<34} {'what':<74} {'value':>12} {'unit':<20} aim"
_LINE = "{case:<34} {what:<74} {value:>12,.3f} {unit:<20} {aim}"


def main(chosen: list[str]) -> None:
    """Run the chosen parts, all of them if none is named."""
    if unknown := sorted({*chosen} - {*PARTS}):
        sys.exit(f"there is no part {unknown[0]!r} of the benchmarks; there are {', '.join(PARTS)}")
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # when this began: what others did
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(_HEAD)
    rows: list[dict[str, object]] = []
    for name in chosen or PARTS:
        for module, *arguments in PARTS[name]:
            command = [sys.executable, "-m", f"tests.bench.{module}", *arguments]
            for line in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
                row = json.loads(line)
                rows.append(row)
                print(_LINE.format(**row).rstrip(), flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(f"written to {RESULT}")


main(sys.argv[1:])
