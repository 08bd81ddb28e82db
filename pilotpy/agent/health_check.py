"""Whether an application outside Kubernetes is well: checks at intervals, and a verdict that takes several to change.

Told to the control plane, which takes endpoints that are not well out of service.

Source  istio/istio ``pkg/istio-agent/health``; ``readinessProbe`` of istio/api ``networking/v1/workload_group.proto``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pilotpy.agent.app_probes import Probe, probed
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.relay_session import Health


class HealthCheck(Probe, frozen=True, rename="camel"):
    """How to check, how often, and how many outcomes in a row make a verdict; durations are whole seconds."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3


class Verdict(NamedTuple):
    """What the outcomes so far come to."""

    health: Health | None = None  # None: not enough to tell
    row: int = 0  # outcomes in a row that speak against it; positive: good ones

    def after(self, outcome: Health, check: HealthCheck) -> Verdict:
        """With one more outcome."""
        if self.health is not None and outcome.healthy == self.health.healthy:
            return Verdict(self.health)
        if outcome.healthy:
            row, needed = max(self.row, 0) + 1, check.success_threshold
        else:
            row, needed = min(self.row, 0) - 1, check.failure_threshold
        return Verdict(outcome) if abs(row) >= needed else Verdict(self.health, row)


async def watch(
    check: HealthCheck, address: str, network: PodNetwork, report: Callable[[Health], Awaitable[None]]
) -> None:
    """Check for ever, and report each new verdict."""
    verdict = Verdict()
    await asyncio.sleep(check.initial_delay_seconds)
    while True:
        before = verdict.health
        verdict = verdict.after(await _outcome(check, address, network), check)
        if verdict.health is not None and verdict.health != before:
            await report(verdict.health)
        await asyncio.sleep(max(check.period_seconds, 1))


async def _outcome(check: HealthCheck, address: str, network: PodNetwork) -> Health:
    try:
        answer = await probed(check, address, network)
    except OSError as failed:
        return Health(healthy=False, reason=str(failed) or "no answer in time")
    return Health(answer.is_good, "" if answer.is_good else f"status {answer.status}")
