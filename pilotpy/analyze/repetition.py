"""Findings that say the same of one object: for some, the first place where it is found is enough."""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.model.resource import Finding


def once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the first of the findings with each message, in their order. As istioctl does, which names no field."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.message, finding)
    return tuple(first.values())
