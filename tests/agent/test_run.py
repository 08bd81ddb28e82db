"""``pilotpy agent run`` as a process, with the Envoy that it starts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from tests.agent.envoy import Peer, free_port, inbound, serve
from tests.agent.plane import asynchronous, running
from tests.agent.pods import short_folder
from tests.agent.tasks import background
from tests.waiting import until

pytestmark = pytest.mark.envoy
PILOTPY = Path(sys.executable).with_name("pilotpy")


def environment(plane, folder: Path, status: int, **more: str) -> dict[str, str]:
    """Of an injected container, in which files are under a folder."""
    token = folder / "var/run/secrets/tokens/istio-token"
    token.parent.mkdir(parents=True)
    token.write_text(plane.token)
    proxy = {
        "discoveryAddress": plane.address,
        "statusPort": status,
        "proxyAdminPort": free_port(),
        "terminationDrainDuration": "1s",
        "drainDuration": "1s",
    }
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "POD_NAME": "web-1",
        "POD_NAMESPACE": "default",
        "INSTANCE_IP": "127.0.0.1",
        "SERVICE_ACCOUNT": "web",
        "XDS_ROOT_CA": str(plane.root_file),
        "CA_ROOT_CA": str(plane.root_file),
        "PROXY_CONFIG": json.dumps(proxy),
        "ENVOY_STATUS_PORT": str(free_port()),
        "ENVOY_PROMETHEUS_PORT": str(free_port()),
        "ECC_SIGNATURE_ALGORITHM": "ECDSA",
        **more,
    }


@asynccontextmanager
async def command(folder: Path, environment: dict[str, str], *options: str):
    process = await asyncio.create_subprocess_exec(
        *(PILOTPY, "agent", "run", "--root", folder, "--concurrency", "1", *options),
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its Envoy, which would keep its ports
        await process.wait()


async def ready(port: int) -> bool:
    try:
        answer = await asked(Question("127.0.0.1", port, "/healthz/ready"), PodNetwork(), at_most=10_000)
    except OSError:
        return False
    return answer.status == 200


async def serve_all(plane, listener):
    while True:
        stream = await plane.streams.get()
        await serve(stream, listener)
        stream.over.set()


@asynchronous
async def test_it_serves_and_ends_in_order():
    with short_folder() as folder:
        async with running(folder) as plane:
            port, status = free_port(), free_port()
            peer = Peer(plane.issuer, folder, "spiffe://cluster.local/ns/default/sa/caller", port)
            made = environment(plane, folder, status)
            async with background(serve_all(plane, inbound(port))), command(folder, made) as process:
                await until(lambda: ready(status), 20)
                await until(lambda: ready(int(made["ENVOY_STATUS_PORT"])))
                await until(peer.is_served)
                begun = asyncio.get_running_loop().time()
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), 10)
                assert process.returncode == 0
                assert asyncio.get_running_loop().time() - begun > 1  # the time that connections were given


@asynchronous
async def test_it_ends_when_its_envoy_does():
    with short_folder() as folder:
        async with running(folder) as plane:
            made = environment(plane, folder, free_port())
            async with command(folder, made, "--envoy", "/bin/false") as process:
                await asyncio.wait_for(process.wait(), 20)
                assert process.returncode == 1


@asynchronous
async def test_what_is_missing_is_told_in_a_sentence():
    with short_folder() as folder:
        process = await asyncio.create_subprocess_exec(
            PILOTPY, "agent", "run", "--root", folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        assert process.returncode == 1
        assert b"lacks POD_NAME, POD_NAMESPACE, INSTANCE_IP" in said
        assert b"Traceback" not in said
