"""What a lab says on a terminal."""

from __future__ import annotations

import asyncio
import contextlib

from pilotpy.lab.show import finding_lines, tell_findings
from pilotpy.model.resource import Finding, Ref, Severity


def wrong(message, ref=None):
    return Finding(code="PP0010", severity=Severity.ERROR, message=message, ref=ref)


class Told:
    """A control plane that says something new, and the lab of it."""

    def __init__(self, *stages):
        self._stages = iter(stages)
        self.findings = next(self._stages)
        self.lines = []

    async def stirred(self):
        self.findings = next(self._stages, None)
        if self.findings is None:
            raise asyncio.CancelledError

    async def told(self):
        with contextlib.suppress(asyncio.CancelledError):
            await tell_findings(self, self, self.lines.append)
        return self.lines


def test_a_server_that_is_gone_is_told_once_in_however_many_ways_it_is_met_with():
    pods, services, other = (wrong(f"{name} cannot be watched") for name in ("pods", "services", "jobs"))
    lines = asyncio.run(Told([pods, services], [pods, services, other], [], [other]).told())
    assert lines == ["Error [PP0010] pods cannot be watched", "Error [PP0010] jobs cannot be watched"]


def test_what_is_the_same_of_many_objects_is_one_line_and_what_differs_is_not():
    objects = [Ref("Service", "default", name) for name in "abcd"]
    assert len(list(finding_lines(wrong("no such thing", ref) for ref in objects[:3]))) == 3
    assert len(list(finding_lines(wrong("no such thing", ref) for ref in objects))) == 1
    assert len(list(finding_lines(wrong(f"no such thing: {ref.name}", ref) for ref in objects))) == 4


def test_what_two_have_found_is_told_once():
    assert len(list(finding_lines([wrong("here", Ref("Pod", "x", "y"))] * 2))) == 1
