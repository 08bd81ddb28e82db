"""istioctl itself, where there is one, asking a control plane in a cluster over port 15012, with tokens of the cluster.

`ISTIOCTL` names the program. It reaches no Pod here, since there is no kubelet to forward a port.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from pilotpy.xds.resource_type import CLUSTER
from tests.asynchronous import asynchronous
from tests.kube.objects import config_map
from tests.kube.plane import plane
from tests.kube.test_keys import Shop
from tests.waiting import until
from tests.xds.client import Client, node_id

STARTED = {"ISTIO_VERSION": "1.29.6", "CLUSTER_ID": "Kubernetes", "PROXY_CONFIG": {"statusPort": 15020}}


class Asking:
    """Somebody at a terminal."""

    def __init__(self, program, apiserver, served):
        address = served.server.secure_address
        self._command = [program, "--kubeconfig", apiserver.kubeconfig, "-i", served.system]
        self._way = ["--xds-address", address, "--authority", f"istiod.{served.system}.svc", "--insecure"]

    async def __call__(self, *words):
        command = map(str, [*self._command, *words, *self._way])
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, wrong = await asyncio.wait_for(process.communicate(), 40)
        assert process.returncode == 0, wrong.decode()
        return out.decode()


@asynccontextmanager
async def asking(istioctl, apiserver):
    """A control plane, a proxy that is synced, and istioctl."""
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    apiserver.account(system, "default")
    apiserver.admin.create(config_map(system, "istio", mesh=f"rootNamespace: {system}\n"))
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        started = {"NAMESPACE": shop.name, **STARTED}
        headers = [("authorization", f"Bearer {shop.token()}")]
        channel = served.channel(roots)
        async with Client("", node_id("web", shop.name), started, channel=channel, headers=headers) as proxy:
            await proxy.ask(CLUSTER)
            await proxy.response()
            await proxy.answer(CLUSTER.url)
            (connection,) = served.server.edge.connections.values()
            await until(lambda: connection.session.watches[CLUSTER.url].nonce_acked)
            yield Asking(istioctl, apiserver, served), f"web.{shop.name}"


@asynchronous
async def test_it_sees_proxies_versions_and_pages(istioctl, apiserver):
    async with asking(istioctl, apiserver) as (ask, proxy):
        brief = (await ask("proxy-status")).splitlines()[1].split()
        assert brief == [proxy, "Kubernetes", "pilotpy", "1.29.6", "1", "(CDS)"]
        header, row = (await ask("proxy-status", "-v", "1")).splitlines()
        assert header.split() == ["NAME", "CLUSTER", "CDS", "ECDS", "EDS", "LDS", "RDS", "ISTIOD", "VERSION"]
        assert "SYNCED (" in row
        version = json.loads(await ask("x", "version", "-o", "json"))
        assert [one["ID"] for one in version["dataPlaneVersion"]] == [proxy]
        assert [one["Component"] for one in version["meshVersion"]] == ["istiod"]
        pages = json.loads(await ask("x", "internal-debug", "list"))
        assert json.loads(await ask("x", "internal-debug", "clusterz"))[0]["syncStatus"] == "synced"
        for page in pages:
            assert await ask("x", "internal-debug", f"{page}?proxyID={proxy}"), page


@asynchronous
async def test_it_compares_what_a_proxy_has_with_what_it_is_sent(istioctl, apiserver, tmp_path):
    async with asking(istioctl, apiserver) as (ask, proxy):
        dump = tmp_path / "dump.json"
        dump.write_text(await ask("x", "internal-debug", f"config_dump?proxyID={proxy}"))
        assert (await ask("proxy-status", proxy, "--file", dump)).splitlines()[0] == "Clusters Match"
