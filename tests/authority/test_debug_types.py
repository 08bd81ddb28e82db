"""What istioctl asks over ADS, and what others may see who ask over HTTP."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from typer.testing import CliRunner

from pilotpy.cli import app
from pilotpy.engine import Engine
from pilotpy.xds.debug import applications
from pilotpy.xds.debug_mesh import MeshPages
from pilotpy.xds.inspection import Inspection
from pilotpy.xds.resource_type import CLUSTER, ResourceType
from pilotpy_protos.envoy.admin.v3.config_dump_shared_pb2 import ClustersConfigDump
from pilotpy_protos.envoy.service.status.v3.csds_pb2 import ClientConfig, ConfigStatus
from tests.asynchronous import asynchronous
from tests.authority.plane import Plane, plane
from tests.xds.client import Client, node_id

BOTH = pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
DEBUG, SYNCZ, CONFIG_DUMP = (ResourceType(f"istio.io/debug{name}", "debug") for name in ("", "/syncz", "/config_dump"))


async def synced(served: Plane) -> Client:
    """A proxy that has taken its clusters, and has asked for nothing else."""
    client = served.proxy("web", PROXY_CONFIG="{}", CLUSTER_ID="c", ISTIO_VERSION="1.30.0")
    await client.ask(CLUSTER)
    await client.response()
    await client.answer(CLUSTER.url)
    return client


def values(response) -> list:
    found = response.resources
    return [getattr(one, "resource", one) for one in found] if found and hasattr(found[0], "resource") else list(found)


@BOTH
@asynchronous
async def test_istioctl_sees_how_far_each_proxy_is(tmp_path, incremental):
    async with (
        plane(tmp_path) as served,
        await synced(served),
        served.proxy("admin", "istio-system", incremental=incremental) as istioctl,
    ):
        await istioctl.ask(SYNCZ, nonce="2026-11-20 19:24:11 +0000 UTC m=+0.211")  # as it does: nobody gave it that
        response = await istioctl.response()
    (one,) = (ClientConfig.FromString(value.value) for value in values(response))
    assert one.node.id == "web.shop"
    assert dict(one.node.metadata) == {"CLUSTER_ID": "c", "NAMESPACE": "shop", "ISTIO_VERSION": "1.30.0"}
    assert [(x.type_url, x.config_status) for x in one.generic_xds_configs] == [(CLUSTER.url, ConfigStatus.SYNCED)]
    assert json.loads(response.control_plane.identifier)["Component"] == "istiod"


@BOTH
@asynchronous
async def test_istioctl_gets_the_config_of_a_proxy(tmp_path, incremental):
    async with (
        plane(tmp_path) as served,
        await synced(served),
        served.proxy("admin", "istio-system", incremental=incremental) as istioctl,
    ):
        await istioctl.ask(CONFIG_DUMP, ["web.shop"])
        found = values(await istioctl.response())
    dumps = {value.type_url.rpartition(".")[2]: value.value for value in found}
    assert ClustersConfigDump.FromString(dumps["ClustersConfigDump"]).dynamic_active_clusters


@asynchronous
async def test_istioctl_gets_a_page_as_it_is(tmp_path):
    async with (
        plane(tmp_path) as served,
        await synced(served),
        served.proxy("admin", "istio-system", incremental=False) as istioctl,
    ):
        await istioctl.ask(DEBUG, ["syncz?namespace=shop"])
        (page,) = values(await istioctl.response())
        assert page.type_url == "istio.io/debug"
        assert [one["proxy"] for one in json.loads(page.value)] == ["web.shop"]
        await istioctl.answer("istio.io/debug")  # as istioctl does; one answer is all there is
        await istioctl.ask(DEBUG, ["connections"])
        (page,) = values(await istioctl.response())
    assert json.loads(page.value)["totalClients"] == 2


@asynchronous
async def test_proxy_status_asks_over_ads(tmp_path):
    def asked(*arguments):
        return CliRunner().invoke(app, ["proxy-status", *map(str, arguments)], catch_exceptions=False)

    async with plane(tmp_path) as served, await synced(served):
        projected = served.keys.projected
        shown = ("--xds-address", served.server.secure_address, "--root-cert", projected / "root-cert.pem", "--token")
        admin = await asyncio.to_thread(asked, *shown, projected / "istio-system" / "admin" / "istio-token")
        other = await asyncio.to_thread(asked, *shown, projected / "shop" / "gateway" / "istio-token")
        stranger = await asyncio.to_thread(asked, *shown, projected / "root-cert.pem")
    assert admin.exit_code == 0, admin.output
    assert admin.output.splitlines()[1].startswith("web.shop")
    assert (other.exit_code, "syncz" in other.output) == (1, True)
    assert (stranger.exit_code, "service account" in stranger.output) == (1, True)


@pytest.mark.parametrize(
    ("type_", "names", "code"),
    [
        pytest.param(DEBUG, ["adsz"], "PERMISSION_DENIED", id="a page about all proxies"),
        pytest.param(DEBUG, ["config_dump?proxyID=admin.istio-system"], None, id="a proxy elsewhere, which is hidden"),
        pytest.param(DEBUG, [], "INVALID_ARGUMENT", id="no page"),
        pytest.param(DEBUG, ["edsz", "ndsz"], "INVALID_ARGUMENT", id="two pages"),
        pytest.param(ResourceType("istio.io/debug/x", "x"), ["a"], "INVALID_ARGUMENT", id="a type that there is not"),
        pytest.param(ResourceType("type.googleapis.com/x", "x"), ["a"], "INVALID_ARGUMENT", id="an unknown type"),
    ],
)
@asynchronous
async def test_others_see_their_own_namespace_and_no_more(tmp_path, type_, names, code):
    async with plane(tmp_path) as served, served.proxy("admin", "istio-system") as admin:
        await admin.ask(CLUSTER)
        await admin.response()
        async with served.proxy("gateway") as client:
            await client.ask(type_, names)
            if code is None:
                (page,) = values(await client.response())
                assert b"not connected" in page.value
            else:
                assert (await client.status())[0] is grpc.StatusCode[code]


@asynchronous
async def test_others_see_how_far_their_own_namespaces_proxies_are(tmp_path):
    async with plane(tmp_path) as served, await synced(served):
        async with served.proxy("gateway") as client:
            await client.ask(SYNCZ)
            assert len(values(await client.response())) == 1
        async with served.proxy("admin", "istio-system", PROXY_CONFIG="{}") as admin, served.proxy("gateway") as client:
            await admin.ask(CLUSTER)
            await admin.response()
            await client.ask(SYNCZ)
            assert len(values(await client.response())) == 1


@asynchronous
async def test_nobody_is_shown_anything_in_plaintext(tmp_path):
    async with plane(tmp_path) as served:
        metadata = {"NAMESPACE": "istio-system"}
        async with Client(served.server.address, node_id("admin", "istio-system"), metadata) as client:
            await client.ask(SYNCZ)
            assert (await client.status())[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("client", "who", "path", "status"),
    [
        pytest.param("127.0.0.1", None, "/debug/adsz", 200, id="this machine sees all"),
        pytest.param("::1", None, "/debug/adsz", 200, id="this machine over IPv6"),
        pytest.param("10.0.0.9", None, "/debug/adsz", 401, id="a stranger"),
        pytest.param("10.0.0.9", "nonsense", "/debug/adsz", 401, id="a token that proves nothing"),
        pytest.param("10.0.0.9", ("admin", "istio-system"), "/debug/adsz", 200, id="who is of the root namespace"),
        pytest.param("10.0.0.9", ("web", "shop"), "/debug/adsz", 403, id="a workload that asks about all"),
        pytest.param("10.0.0.9", ("web", "shop"), "/debug/registryz", 403, id="a workload that asks about the mesh"),
        pytest.param("10.0.0.9", ("web", "shop"), "/debug/edsz?proxyID=web.shop", 200, id="a workload about its own"),
        pytest.param("10.0.0.9", ("web", "shop"), "/debug/edsz?proxyID=other", 404, id="a workload about others"),
        pytest.param("10.0.0.9", None, "/debug", 200, id="the index says nothing of the mesh"),
    ],
)
@pytest.mark.parametrize("scheme", ["Bearer", "Istio"])
@asynchronous
async def test_pages_over_http_are_for_who_proves_who_it_is(tmp_path, client, who, path, status, scheme):  # noqa: PLR0917  # the columns of the table
    async with plane(tmp_path) as served, await synced(served):
        edge, watched = served.server.edge, served.server.instruments
        http, _ = applications(edge, watched, Inspection(edge, watched, Engine()))
        token = served.token(*who) if isinstance(who, tuple) else who
        headers = [(b"authorization", f"{scheme} {token}".encode())] if token else []
        assert await status_of(http, client, path, headers) == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/debug/syncz", 200, id="how far all proxies are"),
        pytest.param("/debug/registryz", 200, id="what services there are"),
        pytest.param("/debug/edsz?proxyID=web.shop", 200, id="what its own proxies are given"),
        pytest.param("/debug/edsz?proxyID=admin.istio-system", 404, id="what others are given: not even then"),
        pytest.param("/debug/sidecarz?proxyID=admin.istio-system", 404, id="what others reach: not even then"),
    ],
)
@asynchronous
async def test_a_trusted_namespace_sees_every_page(tmp_path, path, status):
    async with plane(tmp_path) as served, served.proxy("admin", "istio-system") as admin, await synced(served):
        await admin.ask(CLUSTER)
        await admin.response()
        edge, watched, compiler = served.server.edge, served.server.instruments, served.server.compiler
        mesh = MeshPages(compiler.engine, compiler.held)
        http, _ = applications(edge, watched, Inspection(edge, watched, Engine(), mesh, ["shop"]))
        headers = [(b"authorization", f"Bearer {served.token('web')}".encode())]
        assert await status_of(http, "10.0.0.9", path, headers) == status


async def status_of(application, client: str, path: str, headers: list) -> int:
    """The status of an answer to somebody at an address, by ASGI: no test can call from elsewhere."""
    said = []
    path, _, query = path.partition("?")
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "raw_path": b""}
    scope |= {"query_string": query.encode(), "headers": headers, "client": (client, 1), "server": ("test", 80)}

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    await application(scope, receive, send)
    return said[0]["status"]
