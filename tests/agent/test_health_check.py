"""Verdicts on an application, and that they reach the control plane."""

from __future__ import annotations

import asyncio

import pytest

from pilotpy.agent.app_probes import HttpGet
from pilotpy.agent.health_check import HealthCheck, Verdict, watch
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.relay_session import Health
from tests.agent.plane import asynchronous
from tests.agent.tasks import background
from tests.waiting import until

GOOD, BAD = Health(healthy=True), Health(healthy=False, reason="status 500")
CHECK = HealthCheck(success_threshold=2, failure_threshold=3)


@pytest.mark.parametrize(
    ("outcomes", "health"),
    [
        pytest.param([GOOD], None, id="too few to tell"),
        pytest.param([GOOD, GOOD], GOOD, id="enough good ones"),
        pytest.param([GOOD, BAD, GOOD], None, id="a bad one between starts anew"),
        pytest.param([GOOD, GOOD, BAD, BAD], GOOD, id="too few bad ones to change it"),
        pytest.param([GOOD, GOOD, BAD, BAD, GOOD, BAD, BAD], GOOD, id="bad ones that are not in a row"),
        pytest.param([GOOD, GOOD, BAD, BAD, BAD], BAD, id="enough bad ones"),
        pytest.param([BAD, BAD, BAD, GOOD, GOOD], GOOD, id="well again"),
    ],
)
def test_a_verdict_takes_several_outcomes_in_a_row(outcomes, health):
    verdict = Verdict()
    for outcome in outcomes:
        verdict = verdict.after(outcome, CHECK)
    assert verdict.health == health


@asynchronous
async def test_verdicts_are_reported_once_each():
    told = []

    async def report(health: Health) -> None:
        told.append(health.healthy)

    network = PodNetwork()
    listener = network.listener("127.0.0.1", 0)
    port = listener.getsockname()[1]

    async def answer(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    check = HealthCheck(http_get=HttpGet(port=port), period_seconds=1, failure_threshold=1)
    server = await asyncio.start_server(answer, sock=listener)
    async with background(watch(check, "127.0.0.1", network, report)):
        await until(lambda: told == [True])
        server.close()
        await until(lambda: told == [True, False])
