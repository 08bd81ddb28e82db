"""One agent as a process of its own: what the environment says, an agent, and the Envoy that it starts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from pilotpy.agent import environment as surroundings
from pilotpy.agent.bootstrap import Address, Start, bootstrap_text
from pilotpy.agent.envoy_process import arguments, run
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.agent.settings import AgentSettings, ProxyConfig


async def stand(
    environment: Mapping[str, str], root: Path, program: str | None, *, concurrency: int, log_level: str
) -> int:
    """Be the agent until the end; returns the exit status. ``program``: Envoy's; None: it is somebody else's child.

    Raises ``Wrong`` for what the environment says, OSError for sockets and programs that cannot be had.
    """
    settings = AgentSettings.of(environment, root)
    beginning = bootstrap_text(start(environment, root, settings)) if program else ""
    drain = ProxyConfig.of(environment).drain
    async with PodAgent(settings) as agent:
        if program is None:
            return await _without_envoy(agent)
        bootstrap = settings.xds_socket.with_name("envoy-rev.json")
        ipv6 = ":" in settings.address
        bootstrap.write_text(beginning)
        options = arguments(str(bootstrap), drain=drain, ipv6=ipv6, concurrency=concurrency, log_level=log_level)
        return await run(agent, [program, *options])


def start(environment: Mapping[str, str], root: Path, settings: AgentSettings) -> Start:
    """How the Envoy beside such an agent is started. Raises ``Wrong``."""
    return Start(
        node=surroundings.node(environment, root),
        discovery=Address(str(settings.xds_socket)),
        secrets=Address(str(settings.sds_socket)),
        delta=environment.get("ISTIO_DELTA_XDS", "true").lower() != "false",
        admin_port=settings.admin_port,
        ready_port=int(environment.get("ENVOY_STATUS_PORT") or 15021),
        metrics_port=int(environment.get("ENVOY_PROMETHEUS_PORT") or 15090),
        agent_port=settings.status_port,
        ipv6=":" in settings.address,
    )


async def _without_envoy(agent: PodAgent) -> int:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(agent.ending.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    if told.is_set():
        await agent.drain()
    return 0
