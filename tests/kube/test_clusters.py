"""A mesh of two clusters, each with a real API server."""

import asyncio
import base64
from asyncio import to_thread
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import grpc
import pytest
import yaml

from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.clusters import Clusters
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.kubernetes.member import Follow
from pilotpy.sources.together import Together
from tests import waiting
from tests.asynchronous import asynchronous
from tests.authority.plane import Workload, names
from tests.kube.cluster import Cluster
from tests.kube.objects import config_map, endpoint_slice, pod, running, service
from tests.kube.plane import plane
from tests.kube.served import domains, places, serving, sidecar, until
from tests.kube.test_keys import Shop
from tests.kube.watching import TIMING
from tests.sources.following import Follower


@pytest.fixture(scope="module")
def east(kube_assets, tmp_path_factory):
    """Another cluster."""
    cluster = Cluster(kube_assets, tmp_path_factory.mktemp("east"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def inlined(cluster):
    """The kubeconfig of a cluster's admin, with all that it names written into it."""
    written = yaml.safe_load(cluster.kubeconfig.read_text())
    for part, member, fields in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key")),
    ):
        one = written[part][0][member]
        for field in fields:
            one[f"{field}-data"] = base64.b64encode(Path(one.pop(field)).read_bytes()).decode()
    return yaml.safe_dump(written)


def remote_secret(namespace, name="others", **kubeconfigs):
    labels = {"istio/multiCluster": "true"}
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": kubeconfigs}


@asynccontextmanager
async def others(apiserver, system, patience=timedelta(seconds=10)):
    """Who follows the other clusters that the Secrets of a namespace name."""
    async with connected(default_login(apiserver.kubeconfig)) as connection:
        follow = Follow(lambda *_: None, Random(1), TIMING, patience)
        follower = Follower(Together([Clusters(connection, system, "home", follow)]))
        pump = asyncio.create_task(follower.pump())
        pump.add_done_callback(lambda _: follower._news.set())
        try:
            await follower.until(lambda: follower.batches or pump.done(), within=20)
            yield follower
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if not pump.cancelled():
            pump.result()


def named(follower, kind, namespace):
    return {ref.name for ref in follower.objects if (ref.kind, ref.namespace) == (kind, namespace)}


def test_a_cluster_comes_and_goes_with_its_secret(apiserver, east):
    async def story():
        system, shop = await to_thread(apiserver.namespace, "system-"), await to_thread(east.namespace)
        await to_thread(east.admin.create, service(shop, "web"))
        await to_thread(east.admin.create, pod(shop, "web-1", app="web"))
        async with others(apiserver, system) as follower:
            assert not follower.objects
            secret = remote_secret(system, east=await to_thread(inlined, east))
            await to_thread(apiserver.admin.create, secret)
            await follower.until(lambda: named(follower, "Pod", shop) == {"web-1@east"}, within=10)
            heard = follower.objects[Ref("Service", shop, "web")].spec
            assert (heard.cluster_ip, heard.cluster_ips) == ("", ()), "its address means nothing here"

            await to_thread(east.admin.create, service(shop, "late"))
            await follower.until(lambda: named(follower, "Service", shop) == {"web", "late"})
            await to_thread(apiserver.admin.delete, secret)
            await follower.until(lambda: not follower.objects)

    asyncio.run(story())


def test_a_new_way_into_a_cluster_takes_nothing_away(apiserver, east):
    async def story():
        system, shop = await to_thread(apiserver.namespace, "system-"), await to_thread(east.namespace)
        await to_thread(east.admin.create, service(shop, "web"))
        secret = remote_secret(system, east=await to_thread(inlined, east))
        await to_thread(apiserver.admin.create, secret)
        async with others(apiserver, system) as follower:
            assert named(follower, "Service", shop) == {"web"}
            await to_thread(apiserver.admin.patch, secret, {"stringData": {"east": "no kubeconfig at all"}})
            await follower.until(lambda: follower.folder.findings)
            assert named(follower, "Service", shop) == {"web"}, "what it said last still counts"
            renewed = await to_thread(inlined, east) + "# renewed\n"
            await to_thread(apiserver.admin.patch, secret, {"stringData": {"east": renewed}})
            await follower.until(lambda: not follower.folder.findings)
            await to_thread(east.admin.create, service(shop, "late"))
            await follower.until(lambda: named(follower, "Service", shop) == {"web", "late"})
            assert ("web", None) not in follower.history

    asyncio.run(story())


def hostile(cluster=(), **user):
    cluster = {"server": "https://127.0.0.1:9", **dict(cluster)}
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@pytest.mark.parametrize(
    ("kubeconfig", "words"),
    [
        ("7", "no mapping"),
        (": : :", "not YAML"),
        ("{}", "cannot log in"),
        (
            hostile(exec={"command": "touch", "args": ["PROOF"], "apiVersion": "client.authentication.k8s.io/v1"}),
            "exec",
        ),
        (hostile(tokenFile="/etc/passwd"), "tokenFile"),
        (hostile(**{"client-key": "/etc/passwd"}), "client-key"),
        (hostile(**{"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}}), "auth-provider"),
        (hostile(token="x"), "cannot be watched"),
        (hostile({"server": "ftp://127.0.0.1"}), "cannot be watched"),
        (hostile({"server": 7}), "cannot log in"),
        (hostile({"proxy-url": 7}), "cannot be watched"),
        (hostile({"certificate-authority-data": "bm9uZQ=="}), "cannot be watched"),
        (hostile({"certificate-authority-data": "?"}), "cannot be watched"),
        (hostile({"certificate-authority": "/etc/passwd"}), "certificate-authority"),
    ],
    ids=[
        "a number",
        "no YAML",
        "nothing",
        "a program",
        "a file as token",
        "a file as key",
        "a program again",
        "nobody there",
        "another protocol",
        "no address at all",
        "no proxy",
        "an authority that is none",
        "an authority that is no base64",
        "a file as authority",
    ],
)
def test_a_bad_way_into_a_cluster_keeps_the_good_ones(apiserver, east, kubeconfig, words):

    async def story():
        system, shop = await to_thread(apiserver.namespace, "system-"), await to_thread(east.namespace)
        await to_thread(east.admin.create, service(shop, "web"))
        both = remote_secret(system, bad=kubeconfig, east=await to_thread(inlined, east))
        await to_thread(apiserver.admin.create, both)
        async with others(apiserver, system, patience=timedelta(seconds=2)) as follower:
            assert named(follower, "Service", shop) == {"web"}
            await follower.until(lambda: any(words in one.message for one in follower.folder.findings))
            assert all("bad" in one.message for one in follower.folder.findings)

    asyncio.run(story())


def test_of_two_secrets_for_one_cluster_the_first_counts(apiserver, east):
    async def story():
        system, shop = await to_thread(apiserver.namespace, "system-"), await to_thread(east.namespace)
        await to_thread(east.admin.create, service(shop, "web"))
        await to_thread(apiserver.admin.create, remote_secret(system, "a", east=await to_thread(inlined, east)))
        await to_thread(apiserver.admin.create, remote_secret(system, "b", east="7", home="7"))
        async with others(apiserver, system) as follower:
            assert named(follower, "Service", shop) == {"web"}
            assert [one.ref.name for one in follower.folder.findings] == ["b"]

    asyncio.run(story())


async def a_shop_in_both(apiserver, east, system):
    """A Service with a Pod in each of two clusters; the other one is called east."""
    shop = await to_thread(apiserver.namespace, "shop-")
    await to_thread(east.admin.create, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}})
    for cluster, address in ((apiserver, "10.1.0.1"), (east, "10.2.0.1")):
        await to_thread(cluster.admin.create, service(shop, "web"))
        labels = {"app": "web", "security.istio.io/tlsMode": "istio"}
        made = await to_thread(cluster.admin.create, pod(shop, "web-1", **labels))
        await to_thread(cluster.admin.status, running(made, address))
        slices = endpoint_slice(shop, "web", address)
        slices["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": shop, "name": "web-1"}
        await to_thread(cluster.admin.create, slices)
    await to_thread(apiserver.admin.create, remote_secret(system, east=await to_thread(inlined, east)))
    return shop


def test_requests_go_to_the_pods_of_both_clusters(apiserver, east):
    async def story():
        system = await to_thread(apiserver.namespace, "system-")
        labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "east-1"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": labels}}
        await to_thread(east.admin.create, node)
        shop = await a_shop_in_both(apiserver, east, system)
        async with serving(apiserver, system=system) as server, sidecar(server.address, namespace=shop) as proxy:
            both = {("10.1.0.1", ""), ("10.2.0.1", "east-1")}
            await until(proxy, lambda: places(proxy, f"outbound|80||web.{shop}.svc.cluster.local") == both)
            await to_thread(apiserver.admin.delete, remote_secret(system))
            home = {("10.1.0.1", "")}
            await until(proxy, lambda: places(proxy, f"outbound|80||web.{shop}.svc.cluster.local") == home)
        await to_thread(east.admin.delete, node)

    asyncio.run(story())


def eastwest(system):
    """The Service of the gateway of a network called far."""
    gateway = service(system, "eastwest", 15443)
    gateway["metadata"]["labels"] = {"topology.istio.io/network": "far"}
    gateway["spec"]["type"] = "LoadBalancer"
    return gateway


def test_pods_on_another_network_are_reached_through_its_gateway(apiserver, east):
    async def story():
        system = await to_thread(apiserver.namespace, "system-", **{"topology.istio.io/network": "near"})
        metadata = {"name": system, "labels": {"topology.istio.io/network": "far"}}
        await to_thread(east.admin.create, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        settings = await to_thread(apiserver.admin.create, config_map(system, "istio", mesh=f"rootNamespace: {system}"))
        shop = await a_shop_in_both(apiserver, east, system)
        async with serving(apiserver, system=system) as server, sidecar(server.address, namespace=shop) as proxy:

            async def reaches(*addresses):
                wanted = {(address, "") for address in addresses}
                await until(proxy, lambda: places(proxy, f"outbound|80||web.{shop}.svc.cluster.local") == wanted)

            await reaches("10.1.0.1", "10.2.0.1")
            gateway = await to_thread(east.admin.create, eastwest(system))
            balancers = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
            await to_thread(east.admin.status, gateway | {"status": balancers})
            await reaches("10.1.0.1", "203.0.113.9")
            named = "networks: {far: {endpoints: [], gateways: [{address: 203.0.113.5, port: 443}]}}"
            await to_thread(apiserver.admin.patch, settings, {"data": {"meshNetworks": named}})
            await to_thread(east.admin.delete, gateway)
            await reaches("10.1.0.1", "203.0.113.5")

    asyncio.run(story())


def another_address(cluster, written, address):
    """The address of a Service that is made; clusters draw theirs from the same range, and it is to be another."""
    for _ in range(5):
        made = cluster.admin.create(written)
        if made["spec"]["clusterIP"] != address:
            return made["spec"]["clusterIP"]
        cluster.admin.delete(written)
    raise AssertionError("five times the same of hundreds")


def test_each_cluster_has_its_addresses_and_says_which_of_its_namespaces_count(apiserver, east):
    async def story():
        system = await to_thread(apiserver.namespace, "system-")
        mesh = "discoverySelectors: [{matchLabels: {mesh: member}}]"
        await to_thread(apiserver.admin.create, config_map(system, "istio", mesh=mesh))
        await to_thread(apiserver.admin.create, remote_secret(system, east=await to_thread(inlined, east)))
        shop = await to_thread(apiserver.namespace, "shop-")
        metadata = {"name": shop, "labels": {"mesh": "member"}}
        await to_thread(east.admin.create, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        here = (await to_thread(apiserver.admin.create, service(shop, "web")))["spec"]["clusterIP"]
        there = await to_thread(another_address, east, service(shop, "web"), here)
        async with (
            serving(apiserver, system=system) as server,
            sidecar(server.address, namespace=shop, CLUSTER_ID="Kubernetes") as at_home,
            sidecar(server.address, namespace=shop, CLUSTER_ID="east") as in_east,
        ):
            for proxy in (at_home, in_east):
                await until(proxy, lambda proxy=proxy: {f"web.{shop}.svc.cluster.local", there} <= domains(proxy))
                assert here not in domains(proxy), "the namespace does not count at home"
            home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}}
            await to_thread(apiserver.admin.patch, home, {"metadata": {"labels": {"mesh": "member"}}})
            await until(at_home, lambda: here in domains(at_home))
            assert there not in domains(at_home)
            assert there in domains(in_east)
            assert here not in domains(in_east)

    asyncio.run(story())


@asynchronous
async def test_a_token_is_reviewed_by_the_cluster_that_its_pod_says_it_is_of(apiserver, east):
    system, shop, far = apiserver.namespace("system-"), Shop(apiserver), Shop(east)
    apiserver.admin.create(remote_secret(system, east=inlined(east)))
    async with plane(apiserver, system) as served:
        roots = await to_thread(served.roots, shop.name)

        async def given(token, cluster):
            try:
                return names(await served.certificate(Workload(), token, roots, clusterid=cluster))
            except grpc.aio.AioRpcError as error:
                return error.code()

        assert await given(shop.token(), "Kubernetes") == [shop.identity]
        assert await given(far.token(), "east") == [far.identity]
        assert await given(far.token(), "Kubernetes") is grpc.StatusCode.UNAUTHENTICATED
        assert await given(shop.token(), "east") is grpc.StatusCode.UNAUTHENTICATED
        apiserver.admin.delete(remote_secret(system))

        async def forgotten():
            return await given(far.token(), "east") is grpc.StatusCode.UNAUTHENTICATED

        await waiting.until(forgotten)
