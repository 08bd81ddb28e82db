"""The keys of a mesh in a real cluster, and who gets certificates for which token."""

from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509

from pilotpy.xds.resource_type import CLUSTER
from pilotpy_ca.certificates import intermediate_certificate, pem, root_certificate
from pilotpy_ca.errors import BundleError, StorageError
from pilotpy_ca.keys import KeyType, PrivateKey
from tests.asynchronous import asynchronous
from tests.authority.plane import Workload, names
from tests.kube.plane import Plane, plane, pod, roots_in
from tests.kube.waiting import soon
from tests.waiting import until

DAY = timedelta(days=1)


def secret(namespace, name="istio-ca-secret", data=None):
    metadata = {"namespace": namespace, "name": name}
    found = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    encoded = {key: base64.b64encode(one).decode() for key, one in (data or {}).items()}
    return found if data is None else found | {"data": encoded}


def stored(apiserver, namespace, key):
    return base64.b64decode(apiserver.admin.read(secret(namespace))["data"][key])


class Shop:
    """A namespace with a workload in it."""

    def __init__(self, apiserver):
        self.apiserver = apiserver
        self.name = apiserver.namespace("shop-")
        self.pod = pod(apiserver, self.name, "web")
        self.identity = f"spiffe://cluster.local/ns/{self.name}/sa/web"

    def token(self, audience="istio-ca", account="web"):
        return self.apiserver.admin.token(self.name, account, audience, self.pod if account == "web" else None)


async def outcome(served, token, roots):
    """The status of a request for a certificate."""
    try:
        await served.certificate(Workload(), token, roots)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def other_server(signer=None, life=DAY * 3000):
    """The files of a signer under a root of somebody else's: the root's key is given or new."""
    now = datetime.now(UTC)
    top = signer or PrivateKey.new(KeyType.P256)
    root = root_certificate(top, "somebody", now - DAY, life)
    key = PrivateKey.new(KeyType.P256)
    below = intermediate_certificate(key.public, "below", (root, top), now - DAY, life)
    files = {"ca-cert.pem": below, "root-cert.pem": root}
    chain = {"cert-chain.pem": pem(below) + pem(root), "ca-key.pem": key.pem()}
    return {name: pem(one) for name, one in files.items()} | chain


@asynchronous
async def test_a_pods_token_gets_its_service_accounts_certificate_and_configuration(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        chain = await served.certificate(Workload(), shop.token(), roots, clusterid="Kubernetes")
        assert names(chain) == [shop.identity]
        assert chain[-1].encode() == roots
        async with served.proxy("web", shop.name, shop.token(), roots) as client:
            await client.ask(CLUSTER)
            assert await client.response()
    found = apiserver.admin.read(secret(system))
    assert found["type"] == "istio.io/ca-root"
    assert stored(apiserver, system, "ca-cert.pem") == roots
    assert {"ca-key.pem", "root-cert.pem", "cert-chain.pem", "key.pem"} <= found["data"].keys()


BAD = [
    pytest.param(lambda shop: shop.token("somebody-else"), {}, id="for another audience"),
    pytest.param(lambda shop: shop.token(""), {}, id="for the API server itself"),
    pytest.param(lambda shop: shop.token()[:-8] + "AAAAAAAA", {}, id="whose signature is another"),
    pytest.param(lambda shop: "hello", {}, id="that is none"),
    pytest.param(lambda shop: shop.token(), {"clusterid": "elsewhere"}, id="of a cluster that nobody knows"),
]


@pytest.mark.parametrize(("token", "metadata"), BAD)
@asynchronous
async def test_nothing_is_given_for_a_token(apiserver, token, metadata):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.certificate(Workload(), token(shop), roots, **metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert refused.value.details() == "request authenticate failure"
        if metadata:
            return
        async with served.proxy("web", shop.name, token(shop), roots) as client:
            await client.ask(CLUSTER)
            code, _ = await client.status()
            assert code is grpc.StatusCode.UNAUTHENTICATED


@asynchronous
async def test_the_token_of_a_pod_that_is_gone_is_worth_nothing_and_a_proxy_is_of_its_own_namespace(apiserver):
    system, shop, other = apiserver.namespace("system-"), Shop(apiserver), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots, token = await asyncio.to_thread(served.roots, shop.name), shop.token()
        async with served.proxy("web", other.name, token, roots) as client:
            await client.ask(CLUSTER)
            code, _ = await client.status()
            assert code is grpc.StatusCode.PERMISSION_DENIED
        apiserver.admin.delete(shop.pod)

        async def refused():
            return await outcome(served, token, roots) is grpc.StatusCode.UNAUTHENTICATED

        await until(refused)  # the API server takes some seconds to forget


@asynchronous
async def test_replicas_that_start_on_an_empty_cluster_make_one_root(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with AsyncExitStack() as stack:
        starting = [plane(apiserver, system) for _ in range(3)]
        # An asynchronous context belongs to the task that enters it, so the race is between tasks of their own.
        planes = await asyncio.gather(*(entered(one) for one in starting))
        for _, leave in planes:
            stack.push_async_callback(leave)
        roots = await asyncio.to_thread(planes[0][0].roots, shop.name)
        for served, _ in planes:
            chain = await served.certificate(Workload(), shop.token(), roots)
            assert chain[-1].encode() == roots
    assert stored(apiserver, system, "ca-cert.pem") == roots


async def entered(context) -> tuple[Plane, object]:
    """What a context gives, and how to leave it, from a task that does both."""
    inside, leave = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def live():
        try:
            async with context as found:
                inside.set_result(found)
                await leave.wait()
        except Exception as error:
            if inside.done():
                raise
            inside.set_exception(error)

    living = asyncio.create_task(live())

    async def left():
        leave.set()
        await living

    return await inside, left


@asynchronous
async def test_a_root_that_is_there_is_used_and_what_another_replica_makes_of_it_is_followed(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    key, now = PrivateKey.new(KeyType.P256), datetime.now(UTC)
    first, second = (root_certificate(key, "cluster.local", now - DAY, life) for life in (DAY * 3000, DAY * 3650))
    files = {"ca-key.pem": key.pem(), "ca-cert.pem": pem(first)}  # as istiod leaves it
    apiserver.admin.create(secret(system, data=files) | {"type": "istio.io/ca-root"})
    async with plane(apiserver, system) as served:
        assert await asyncio.to_thread(served.roots, shop.name) == pem(first)
        apiserver.admin.patch(secret(system), {"data": secret(system, data={"ca-cert.pem": pem(second)})["data"]})
        await soon(lambda: roots_in(apiserver, shop.name).encode() == pem(second))
        chain = await served.certificate(Workload(), shop.token(), pem(second))
        assert chain[-1].encode() == pem(second)


@asynchronous
async def test_a_secret_with_half_a_key_pair_starts_nothing_and_is_left_alone(apiserver):
    system, key = apiserver.namespace("system-"), PrivateKey.new(KeyType.P256)
    half = secret(system, data={"ca-key.pem": key.pem()})
    apiserver.admin.create(half)
    with pytest.raises(StorageError, match=r"ca-cert\.pem is missing"):
        async with plane(apiserver, system):
            pass
    assert apiserver.admin.read(half)["data"] == half["data"]


@asynchronous
async def test_a_secret_of_somebody_elses_is_left_alone(apiserver):
    system = apiserver.namespace("system-")
    theirs = secret(system, data={"password": b"secret"})
    apiserver.admin.create(theirs)
    with pytest.raises(StorageError, match="holds password, but no keys"):
        async with plane(apiserver, system):
            pass
    assert apiserver.admin.read(theirs)["data"] == theirs["data"]


@asynchronous
async def test_who_loses_the_secret_goes_on_with_what_it_has(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        apiserver.admin.delete(secret(system))
        chain = await served.certificate(Workload(), shop.token(), roots)
        assert chain[-1].encode() == roots


@asynchronous
async def test_the_signer_in_cacerts_signs_and_its_successor_under_the_same_root_takes_over(apiserver):
    system, shop, top = apiserver.namespace("system-"), Shop(apiserver), PrivateKey.new(KeyType.P256)
    files = other_server(top)
    apiserver.admin.create(secret(system, "cacerts", files))
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        assert roots == files["root-cert.pem"]
        chain = await served.certificate(Workload(), shop.token(), roots)
        assert chain[1:] == [files["ca-cert.pem"].decode(), roots.decode()]

        now, key = datetime.now(UTC), PrivateKey.new(KeyType.P256)
        root = x509.load_pem_x509_certificate(roots)
        below = intermediate_certificate(key.public, "the next", (root, top), now - DAY, DAY * 100)
        chain = {"ca-cert.pem": pem(below), "ca-key.pem": key.pem(), "cert-chain.pem": pem(below) + roots}
        apiserver.admin.patch(secret(system, "cacerts"), {"data": secret(system, data=chain)["data"]})

        async def signed_by_the_next():
            return pem(below).decode() in await served.certificate(Workload(), shop.token(), roots)

        await until(signed_by_the_next)
    assert not exists(apiserver, secret(system)), "nobody makes a root where there is one"


def exists(apiserver, one):
    path = f"/api/v1/namespaces/{one['metadata']['namespace']}/secrets"
    return one["metadata"]["name"] in {
        item["metadata"]["name"] for item in apiserver.admin.request("GET", path)["items"]
    }


@asynchronous
async def test_a_part_of_cacerts_starts_nothing(apiserver):
    system = apiserver.namespace("system-")
    files = other_server()
    del files["ca-key.pem"]
    apiserver.admin.create(secret(system, "cacerts", files))
    with pytest.raises(BundleError, match=r"ca-key\.pem: missing or empty"):
        async with plane(apiserver, system):
            pass
    assert not exists(apiserver, secret(system))


@asynchronous
async def test_certificates_are_given_while_the_api_server_is_restarted(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots, token = await asyncio.to_thread(served.roots, shop.name), shop.token()
        restarting = asyncio.create_task(asyncio.to_thread(apiserver.restart))
        outcomes = set()

        async def given_again():
            outcomes.add(code := await outcome(served, token, roots))
            return restarting.done() and code is grpc.StatusCode.OK

        await until(given_again, 60)
        await restarting
        assert outcomes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED}


@asynchronous
async def test_a_trust_domain_that_is_changed_in_the_mesh_config_is_in_the_next_certificate(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with plane(apiserver, system) as served:
        roots, token = await asyncio.to_thread(served.roots, shop.name), shop.token()
        metadata = {"namespace": system, "name": "istio"}
        data = {"mesh": "trustDomain: example.com"}
        apiserver.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

        async def renamed():
            return names(await served.certificate(Workload(), token, roots)) == [
                shop.identity.replace("cluster.local", "example.com")
            ]

        await until(renamed)


@asynchronous
async def test_discovery_selectors_in_the_mesh_config_say_which_namespaces_get_the_roots(apiserver):
    system, shop = apiserver.namespace("system-", mesh="yes"), apiserver.namespace()
    metadata = {"namespace": system, "name": "istio"}
    data = {"mesh": "discoverySelectors: [{matchLabels: {mesh: 'yes'}}]"}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    apiserver.admin.create(settings)
    async with plane(apiserver, system):
        await soon(lambda: roots_in(apiserver, system))
        assert not roots_in(apiserver, shop)
        apiserver.admin.patch(settings, {"data": {"mesh": "{}"}})
        await soon(lambda: roots_in(apiserver, shop))
