"""Istio's own agent, where there is one, with an Envoy and this control plane: nothing there tells it from istiod.

`PILOT_AGENT` names the program, `PILOT_AGENT_TEMPLATE` the bootstrap template that belongs to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.envoy_process import installed
from pilotpy.agent.network import PodNetwork
from tests.agent.envoy import free_port
from tests.agent.plane import asynchronous
from tests.agent.pods import short_folder
from tests.agent.test_run import ready
from tests.agent.test_with_control_plane import MESH, address_of, control_plane, environment
from tests.waiting import until

pytestmark = pytest.mark.envoy
_IN_ITS_IMAGE = "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"


@pytest.fixture(scope="session")
def template() -> str:
    named = os.environ.get("PILOT_AGENT_TEMPLATE", _IN_ITS_IMAGE)
    if not Path(named).is_file():
        pytest.skip(f"no bootstrap template: PILOT_AGENT_TEMPLATE names none, and {_IN_ITS_IMAGE} is not there")
    return named


def told(folder: Path, made: dict[str, str], **more: str) -> dict[str, str]:
    """What it is told by its environment: our agent's, and where Envoy is."""
    proxy = json.loads(made["PROXY_CONFIG"]) | {"binaryPath": installed(), "concurrency": 1}
    proxy |= {"discoveryAddress": proxy["discoveryAddress"].replace("127.0.0.1", "localhost")}
    proxy["terminationDrainDuration"] = "1s"
    (folder / "etc/istio/proxy").mkdir(parents=True)
    return made | {"PROXY_CONFIG": json.dumps(proxy), "CA_ADDR": proxy["discoveryAddress"]} | more


@asynccontextmanager
async def command(program: str, template: str, folder: Path, environment: dict[str, str]):
    process = await asyncio.create_subprocess_exec(
        *(program, "proxy", "sidecar", "--domain", "default.svc.cluster.local", "--templateFile", template),
        env=environment,
        cwd=folder,  # its paths are relative
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its Envoy, which would keep its ports
        await process.wait()


@pytest.mark.parametrize(
    "way",
    [
        pytest.param({}, id="incremental"),
        pytest.param({"ISTIO_DELTA_XDS": "false"}, id="state of the world"),
        pytest.param({"PROXY_CONFIG_XDS_AGENT": "true"}, id="with roots over discovery"),
        pytest.param({"ECC_SIGNATURE_ALGORITHM": "ECDSA"}, id="with a key on a curve"),
    ],
)
@asynchronous
async def test_it_is_served_and_ends_in_order(pilot_agent, template, way):
    with short_folder() as folder:
        (folder / "mesh").mkdir()
        (folder / "mesh" / "web.yaml").write_text(MESH)
        plane, status, admin, names = (free_port() for _ in range(4))
        token = folder / "tokens/default/web-1/istio-token"
        mounted = folder / "var/run/secrets/tokens/istio-token"
        mounted.parent.mkdir(parents=True)
        mounted.symlink_to(token)
        envoy = EnvoyAdmin(PodNetwork(), port=admin)
        made = told(folder, environment(folder, plane, status, admin, names), **way)
        async with control_plane(folder, plane):
            await until(token.exists, 20)
            async with command(pilot_agent, template, folder, made) as process:
                await until(lambda: ready(status), 30)
                certificates = json.loads(await envoy.page("/certs"))["certificates"]
                shown = [one["subject_alt_names"] for each in certificates for one in each["cert_chain"]]
                assert [{"uri": "spiffe://cluster.local/ns/default/sa/web"}] in shown
                assert await asyncio.to_thread(address_of, "web.default", names) == "10.96.7.7"
                counts = (await envoy.page("/stats?filter=update_rejected")).decode().splitlines()
                counted = dict(line.split(": ") for line in counts)
                assert counted
                assert set(counted.values()) == {"0"}
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 15) == 0
