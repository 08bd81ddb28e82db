"""The HTTP ports, asked over HTTP, while a proxy is connected."""

from __future__ import annotations

import asyncio
import json
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from google.protobuf.json_format import ParseDict
from prometheus_client.parser import text_string_to_metric_families

from pilotpy.engine import Engine, Put
from pilotpy.mesh.clusters import HOME_CLUSTER
from pilotpy.ops.instruments import instruments
from pilotpy.xds.compiler import Answers
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE
from pilotpy.xds.server import serving
from pilotpy_protos.descriptors import pool
from pilotpy_protos.envoy.admin.v3.config_dump_pb2 import ConfigDump
from pilotpy_protos.envoy.admin.v3.config_dump_shared_pb2 import ClustersConfigDump
from tests.asynchronous import asynchronous
from tests.xds.client import Client, node_id
from tests.xds.world import COLLECTIONS, FAST, put, view

HERE = FAST._replace(http_address="127.0.0.1:0", monitoring_address="127.0.0.1:0", grpc_address="127.0.0.1:0")


def plane():
    engine = Engine()
    engine.apply([Put(HOME_CLUSTER, ("",), "north")])
    return serving(engine, Answers(view, COLLECTIONS), HERE, instruments())


async def page(address: str, path: str) -> tuple[int, str]:
    def fetch():
        try:
            with urlopen(f"http://{address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def connect(server) -> Client:
    server.compiler.submit([put(CLUSTER, "a"), put(ENDPOINT, "a"), put(LISTENER, "l"), put(ROUTE, "80")], ["all"])
    client = Client(await server.open(), node_id("web", "shop"), {"ISTIO_VERSION": "1.30.0", "NAMESPACE": "shop"})
    for type_, names in ((CLUSTER, ()), (ENDPOINT, ("a",)), (LISTENER, ()), (ROUTE, ("80",))):
        await client.ask(type_, names)
        await client.response()
    await client.answer(CLUSTER.url)
    return client


@asynchronous
async def test_it_is_ready_once_it_is_open():
    async with plane() as server:
        assert (await page(server.http_address, "/ready"))[0] == 503
        await server.open()
        assert (await page(server.http_address, "/ready"))[0] == 200


@asynchronous
async def test_a_config_dump_is_one_that_istioctl_reads():
    async with plane() as server, await connect(server):
        status, body = await page(server.http_address, "/debug/config_dump?proxyID=web.shop&include_eds")
        dump = ParseDict(json.loads(body), ConfigDump(), descriptor_pool=pool())
        names = [config.TypeName().removeprefix("envoy.admin.v3.") for config in dump.configs]
        clusters = ClustersConfigDump.FromString(dump.configs[1].value)
    assert status == 200
    assert names == [
        f"{part}ConfigDump"
        for part in ("Bootstrap", "Clusters", "Endpoints", "Listeners", "ScopedRoutes", "Routes", "Secrets", "Ecds")
    ]
    assert [cluster.cluster.type_url for cluster in clusters.dynamic_active_clusters] == [CLUSTER.url]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("", 400, id="nobody is named"),
        pytest.param("?proxyID=nobody", 404, id="somebody who is not connected"),
    ],
)
@asynchronous
async def test_a_config_dump_of_nobody_says_so(query, status):
    async with plane() as server, await connect(server):
        assert (await page(server.http_address, f"/debug/config_dump{query}"))[0] == status


@asynchronous
async def test_syncz_tells_what_was_sent_and_what_was_acked():
    async with plane() as server, await connect(server) as client:
        await client.answer(LISTENER.url, error="Error adding/updating listener(s) l: bad")
        async with asyncio.timeout(5):
            while True:
                (status,) = json.loads((await page(server.monitoring_address, "/debug/syncz"))[1])
                if status["resources"][LISTENER.url].get("lastError"):
                    break
        others = json.loads((await page(server.monitoring_address, "/debug/syncz?namespace=other"))[1])
    assert status["proxy"] == "web.shop"
    assert status["istio_version"] == "1.30.0"
    assert status["cluster_id"] == "north", "it does not say: then it is of the home cluster"
    assert status["cluster_sent"] == status["cluster_acked"] != ""
    assert "route_acked" not in status
    assert status["resources"][LISTENER.url]["lastError"] == "Error adding/updating listener(s) l: bad"
    assert status["resources"][LISTENER.url]["rejected"] == ["l"]
    assert others == []


@asynchronous
async def test_all_proxies_can_be_pushed_to():
    async with plane() as server, await connect(server) as client:
        assert (await page(server.http_address, "/debug/adsz?push=true"))[1] == "Pushed to 1 servers\n"
        assert (await client.response()).type_url == CLUSTER.url


@asynchronous
async def test_every_page_that_is_listed_answers():
    async with plane() as server, await connect(server):
        for name in json.loads((await page(server.http_address, "/debug/list"))[1]):
            status, _ = await page(server.http_address, f"/debug/{name}?proxyID=web.shop&pretty")
            assert status == 200, name


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        pytest.param("clusterz", 501, "not answered here", id="a page of istiod's that is not there yet"),
        pytest.param("anything", 404, "no such page", id="a page that nobody has"),
    ],
)
@asynchronous
async def test_what_is_not_answered_is_said(name, status, words):
    async with plane() as server:
        found = await page(server.http_address, f"/debug/{name}")
        assert name not in json.loads((await page(server.http_address, "/debug/list"))[1])
    assert found[0] == status
    assert words in found[1]


@asynchronous
async def test_metrics_bear_istiods_names():
    async with plane() as server, await connect(server):
        families = list(text_string_to_metric_families((await page(server.monitoring_address, "/metrics"))[1]))
        assert (await page(server.monitoring_address, "/version"))[0] == 200
    found = {(sample.name, *sample.labels.values()): sample.value for f in families for sample in f.samples}
    assert found["pilot_xds", "1.30.0"] == 1
    assert found["pilot_xds_pushes", "cds"] == 1
    assert found["pilot_xds_config_size_bytes_count", "lds"] == 1
    assert found["pilot_xds_push_time_count", "eds"] == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@asynchronous
async def test_this_machine_sees_all_on_a_port_of_both_families(host):
    settings = HERE._replace(http_address=":0")
    async with serving(Engine(), Answers(view, COLLECTIONS), settings, instruments()) as server:
        port = server.http_address.rpartition(":")[2]
        try:
            status, _ = await page(f"{host}:{port}", "/debug/syncz")
        except URLError:
            pytest.skip(f"this machine has no {host}")
    assert status == 200


@asynchronous
async def test_an_address_that_is_taken_is_said_at_once():
    async with plane() as server:
        taken = serving(
            Engine(), Answers(view, COLLECTIONS), HERE._replace(http_address=server.http_address), instruments()
        )
        with pytest.raises(OSError, match="in use"):
            await taken.__aenter__()
