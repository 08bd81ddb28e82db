"""What commands say of findings: a line for each, or plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
import typer

from pilotpy.api import plain_finding
from pilotpy.cli.options import Report
from pilotpy.cli.text import finding_line
from pilotpy.model.resource import Finding, Ref, Severity


def report(findings: Sequence[Finding], output: Report, *, implied: Callable[[Ref], bool], otherwise: str) -> None:
    """Print findings, or as text a sentence if there is none; leave with exit code 1 if any is an error.

    As istioctl does, they name objects as these name themselves: without a namespace that is only implied.
    """
    plain = [plain_finding(as_written(finding, implied)) for finding in findings]
    if output is Report.JSON:
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(finding_line, plain)) or otherwise)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)


def as_written(finding: Finding, implied: Callable[[Ref], bool]) -> Finding:
    """Return the finding about its object as that names itself."""
    if finding.ref is None or not implied(finding.ref):
        return finding
    return msgspec.structs.replace(finding, ref=finding.ref._replace(namespace=""))
