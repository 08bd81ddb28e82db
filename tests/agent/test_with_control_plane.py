"""Agent and Envoy against the control plane itself, a process each: its port 15012, its authority, its tokens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import pytest

from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from tests.agent.envoy import free_port
from tests.agent.plane import asynchronous
from tests.agent.pods import short_folder
from tests.agent.test_run import command, ready
from tests.waiting import until

pytestmark = pytest.mark.envoy
PILOTPY = Path(sys.executable).with_name("pilotpy")
MESH = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: default, labels: {app: web}}
spec:
  serviceAccountName: web
  containers: [{name: app, ports: [{containerPort: 8080}]}]
status: {phase: Running, podIP: 10.9.9.9, podIPs: [{ip: 10.9.9.9}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.7.7, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""
PROCESS = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


@asynccontextmanager
async def control_plane(folder: Path, port: int):
    options = {
        "--dir": folder / "mesh",
        "--ca-dir": folder / "ca",
        "--token-dir": folder / "tokens",
        "--grpc-address": "",
        "--secure-grpc-address": f"127.0.0.1:{port}",
        "--http-address": "",
        "--monitoring-address": "",
    }
    arguments = [str(word) for pair in options.items() for word in pair]
    process = await asyncio.create_subprocess_exec(PILOTPY, "serve", *arguments)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def environment(folder: Path, plane: int, status: int, admin: int, names: int) -> dict[str, str]:
    proxy = {"discoveryAddress": f"127.0.0.1:{plane}", "statusPort": status, "proxyAdminPort": admin}
    return {
        **PROCESS,
        "POD_NAME": "web-1",
        "POD_NAMESPACE": "default",
        "INSTANCE_IP": "10.9.9.9",
        "SERVICE_ACCOUNT": "web",
        "ISTIOD_SAN": "istiod.istio-system.svc",
        "XDS_ROOT_CA": str(folder / "tokens/root-cert.pem"),
        "CA_ROOT_CA": str(folder / "tokens/root-cert.pem"),
        "ISTIO_META_DNS_CAPTURE": "true",
        "DNS_PROXY_ADDR": f"127.0.0.1:{names}",
        "ENVOY_STATUS_PORT": str(free_port()),
        "ENVOY_PROMETHEUS_PORT": str(free_port()),
        "PROXY_CONFIG": json.dumps(proxy),
    }


def address_of(name: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(dns.message.make_query(name, "A").to_wire(), ("127.0.0.1", port))
        return str(dns.message.from_wire(client.recv(4096)).answer[-1][0])


@asynchronous
async def test_a_pod_gets_identity_configuration_and_names_and_keeps_them_while_the_control_plane_is_away():
    with short_folder() as folder:
        (folder / "mesh").mkdir()
        (folder / "mesh" / "web.yaml").write_text(MESH)
        plane, status, admin, names = (free_port() for _ in range(4))
        token = folder / "tokens/default/web-1/istio-token"
        mounted = folder / "var/run/secrets/tokens/istio-token"
        mounted.parent.mkdir(parents=True)
        mounted.symlink_to(token)
        envoy = EnvoyAdmin(PodNetwork(), port=admin)

        async def streams_connected(wanted: int) -> bool:
            page = await asked(Question("127.0.0.1", status, "/metrics"), PodNetwork(), at_most=1 << 24)
            return f"istio_agent_xds_connected {wanted}.0" in page.body.decode()

        async with control_plane(folder, plane) as first:
            await until(token.exists, 20)
            async with command(folder, environment(folder, plane, status, admin, names)):
                await until(lambda: ready(status), 20)
                certificates = json.loads(await envoy.page("/certs"))["certificates"]
                shown = [one["subject_alt_names"] for each in certificates for one in each["cert_chain"]]
                assert [{"uri": "spiffe://cluster.local/ns/default/sa/web"}] in shown
                assert await asyncio.to_thread(address_of, "web.default", names) == "10.96.7.7"

                first.send_signal(signal.SIGKILL)
                await first.wait()
                await until(lambda: streams_connected(0))
                assert await ready(status)
                assert await asyncio.to_thread(address_of, "web", names) == "10.96.7.7"
                async with control_plane(folder, plane):
                    await until(lambda: streams_connected(1), 20)
