"""The keys of a mesh in a real cluster, and who gets certificates for which token."""

from __future__ import annotations

import asyncio
import base64

import grpc
import pytest

from pilotpy.xds.resource_type import CLUSTER
from tests.authority.plane import Workload, names
from tests.kube.plane import plane, pod, roots_in, roots_of
from tests.kube.waiting import eventually
from tests.xds.test_edge import asynchronous


def secret(namespace, name="istio-ca-secret", data=None):
    metadata = {"namespace": namespace, "name": name}
    found = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    return (
        found if data is None else found | {"data": {key: base64.b64encode(one).decode() for key, one in data.items()}}
    )


async def eventually_in_thread(condition):
    return await asyncio.to_thread(eventually, condition)


@asynchronous
async def test_a_pods_token_gets_its_service_accounts_certificate(apiserver):
    system, shop = apiserver.namespace("system-"), apiserver.namespace("shop-")
    web = pod(apiserver, shop, "web")
    token = apiserver.admin.token(shop, "web", "istio-ca", web)
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop)
        chain = await served.certificate(Workload(), token, roots, clusterid="Kubernetes")
        assert names(chain) == [f"spiffe://cluster.local/ns/{shop}/sa/web"]
        assert chain[-1].encode() == roots
        async with served.proxy("web", shop, token, roots) as client:
            await client.ask(CLUSTER)
            assert await client.response()
    stored = apiserver.admin.read(secret(system))
    assert stored["type"] == "istio.io/ca-root"
    assert base64.b64decode(stored["data"]["ca-cert.pem"]) == roots
    assert {"ca-key.pem", "root-cert.pem", "cert-chain.pem", "key.pem"} <= stored["data"].keys()
