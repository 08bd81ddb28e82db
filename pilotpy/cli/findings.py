"""What commands say of findings: a line for each, or plain data."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

from pilotpy.api import plain_finding
from pilotpy.cli.options import Findings
from pilotpy.cli.text import finding_line
from pilotpy.model.resource import Finding, Severity


def report(findings: Sequence[Finding], output: Findings, *, otherwise: str) -> None:
    """Print findings, or as text a sentence if there is none; leave with exit code 1 if any is an error."""
    plain = [plain_finding(finding) for finding in findings]
    if output is Findings.JSON:
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(finding_line, plain)) or otherwise)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)
