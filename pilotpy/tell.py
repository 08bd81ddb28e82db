"""What is wrong with what is served now: from findings to the log, each once while it lasts, and to a metric."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Literal, get_args

from pilotpy.model.resource import Finding, Severity
from pilotpy.ops.logs import fields
from pilotpy.ops.metrics import Metrics
from pilotpy.xds.compiler import LocalCompiler

Origin = Literal["source", "compile", "authority"]  # what was written, what became of it, and the mesh's keys

_LOG: Final = logging.getLogger("pilotpy.findings")
_LEVELS: Final = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}
_FEW: Final = 3
_BETWEEN: Final = 1.0  # seconds between two looks at what compiling noted


def alike(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Return findings in groups, in the given order: one each, but for more than a few that say the same of a kind."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        words = (finding.code, finding.ref.kind, finding.field, finding.message) if finding.ref else finding
        groups.setdefault(words, []).append(finding)
    return [part for group in groups.values() for part in ([group] if len(group) > _FEW else [[one] for one in group])]


class Teller:
    """The findings that there are, by where they come from."""

    def __init__(self, metrics: Metrics, hear: Callable[[frozenset[Finding]], None] = lambda _: None) -> None:
        self._metrics = metrics
        self._hear = hear  # called with all findings of now
        self._now: dict[Origin, frozenset[Finding]] = dict.fromkeys(get_args(Origin), frozenset())

    def now(self) -> frozenset[Finding]:
        """All of them."""
        return frozenset().union(*self._now.values())

    def tell(self, origin: Origin, findings: Iterable[Finding]) -> None:
        """These are all findings of an origin now: log those that nobody has told yet, like ones once, and count."""
        before, now = self.now(), frozenset(findings)
        self._now[origin] = now
        new = sorted(now - before, key=lambda one: (one.file, one.line, one.ref or (), one.field, one.code))
        for finding, *others in alike(new):
            where: dict[str, object] = {"file": finding.file, "line": finding.line} if finding.file else {}
            where |= {"others": len(others)} if others else {}
            told = fields(
                code=finding.code, object=str(finding.ref or ""), field=finding.field, hint=finding.hint, **where
            )
            _LOG.log(_LEVELS[finding.severity], finding.message, extra=told)
        everything = self.now()
        self._hear(everything)
        counts = Counter(one.severity for one in everything)
        for severity in Severity:
            self._metrics.findings.labels(severity.value).set(counts[severity])


async def telling(compiler: LocalCompiler, teller: Teller) -> None:
    """Tell what compiling notes about what connected proxies are served, whenever it has settled, until cancelled."""
    while True:
        await compiler.settled()
        teller.tell("compile", (note for note in compiler.engine.noted() if isinstance(note, Finding)))
        await asyncio.sleep(_BETWEEN)
