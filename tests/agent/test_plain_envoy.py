"""An Envoy that somebody starts by himself, with our bootstrap and nobody beside it, in a mesh of mutual TLS."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from pilotpy import api
from pilotpy.agent.bootstrap import Address, Start, bootstrap_text
from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.envoy_process import installed
from pilotpy.agent.network import PodNetwork
from pilotpy.follow import following
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from tests.agent.envoy import free_port
from tests.agent.plane import asynchronous
from tests.agent.test_run import ready
from tests.waiting import until

pytestmark = pytest.mark.envoy
NOWHERE = Settings(http_address="", monitoring_address="", grpc_address="127.0.0.1:0", secure_grpc_address="")
MESH = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: default, labels: {app: web, security.istio.io/tlsMode: istio}}
spec:
  containers: [{name: app, ports: [{containerPort: 8080}]}]
status: {phase: Running, podIP: 10.9.9.9, podIPs: [{ip: 10.9.9.9}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.7.7, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""


@asynccontextmanager
async def running(start, folder):
    file = folder / "envoy.json"
    file.write_text(bootstrap_text(start))
    arguments = ("-c", file, "--log-level", "error", "--concurrency", "1", "--use-dynamic-base-id")
    process = await asyncio.create_subprocess_exec(installed(), *arguments)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynchronous
async def test_it_gets_to_its_listeners_in_plaintext_and_that_is_told(tmp_path):
    (tmp_path / "mesh.yaml").write_text(MESH)
    node = api.load(tmp_path / "mesh.yaml").announcement("web-1.default", envoy="plain")
    told = []
    async with following(Folder([tmp_path / "mesh.yaml"]), NOWHERE, hear=told.append) as server:
        host, _, port = server.address.rpartition(":")
        admin, listening = free_port(), free_port()
        start = Start(
            node=node,
            discovery=Address(host, int(port)),
            agent_port=None,
            admin_port=admin,
            ready_port=listening,
            metrics_port=free_port(),
        )
        async with running(start, tmp_path):
            envoy = EnvoyAdmin(PodNetwork(), port=admin)
            await until(lambda: ready(listening), 20)
            listeners = json.loads(await envoy.page("/listeners?format=json"))["listener_statuses"]
            assert {"virtualInbound", "virtualOutbound"} <= {one["name"] for one in listeners}
            assert b"sds-grpc" not in await envoy.page("/config_dump")
            await until(lambda: told and "PP0103" in {one.code for one in told[-1]})
