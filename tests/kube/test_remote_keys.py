"""What the keys of a mesh do in its other clusters: who may read Secrets there, and the roots in their namespaces."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest
import yaml

from pilotpy.kube.remote_roots import ANNOTATION
from pilotpy.xds.resource_type import SECRET
from tests.asynchronous import asynchronous
from tests.authority.plane import Workload, bearer
from tests.kube.plane import plane, pod, roots_in
from tests.kube.test_clusters import east, inlined, remote_secret  # noqa: F401 - one is a fixture
from tests.kube.test_keys import Shop, secret
from tests.kube.test_secrets import PAIR, allow, keys_in
from tests.waiting import until
from tests.xds.client import Client, node_id


def namespace(name, **annotations):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}


@contextmanager
def reader(cluster, repository, system):
    """A kubeconfig for a cluster, of the account that deploy/ has for it where it is to have the roots."""
    files = [repository / "deploy" / "remote-cluster" / name for name in ("reader.yaml", "roots.yaml")]
    texts = [file.read_text().replace("istio-system", system) for file in files]
    made = [one for text in texts for one in yaml.safe_load_all(text) if one]
    cluster.admin.create(*made)
    token = cluster.admin.token(system, "istio-reader-service-account", "")
    written = yaml.safe_load(inlined(cluster))
    yield yaml.safe_dump(written | {"users": [{"name": written["users"][0]["name"], "user": {"token": token}}]})
    for one in made:
        if one["kind"] != "Namespace":  # nobody here would finish its deletion
            cluster.admin.delete(one)


def asking(served, shop, token, roots, cluster):
    return Client(
        "",
        node_id("web", shop.name),
        {"NAMESPACE": shop.name, "CLUSTER_ID": cluster},
        channel=served.channel(roots),
        headers=(*bearer(token), ("clusterid", cluster)),
    )


@pytest.mark.parametrize("where", ["home", "east"])
@asynchronous
async def test_rights_to_secrets_are_those_of_the_cluster_where_the_pod_runs(apiserver, east, where):  # noqa: F811
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    apiserver.admin.create(secret(shop.name, "pair", PAIR), remote_secret(system, east=inlined(east)))
    east.admin.create(namespace(shop.name))
    far = east.admin.token(shop.name, "web", "istio-ca", pod(east, shop.name, "web"))
    allow(apiserver if where == "home" else east, shop.name, "web")
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)

        async def keys(token, cluster):
            async with asking(served, shop, token, roots, cluster) as client:
                await client.ask(SECRET, ["kubernetes://pair", "kubernetes://pair-cacert"])
                return keys_in(await client.response()).get("kubernetes://pair")

        given = {"home": await keys(shop.token(), "Kubernetes"), "east": await keys(far, "east")}
        assert given == {"home": None, "east": None} | {where: b"a private key"}


@asynchronous
async def test_the_roots_are_in_the_namespaces_of_a_cluster_that_wants_them_of_us(apiserver, east, repository, caplog):  # noqa: F811
    system, first = apiserver.namespace("system-"), east.namespace("shop-")
    with reader(east, repository, system) as kubeconfig:
        apiserver.admin.create(remote_secret(system, east=kubeconfig))
        async with plane(apiserver, system) as served:
            home = apiserver.namespace("shop-")
            roots = await asyncio.to_thread(served.roots, home)
            token = Shop(east).token()
            assert await served.certificate(Workload(), token, roots, clusterid="east"), "it is followed"
            assert not roots_in(east, first)
            east.admin.patch(namespace(system), {"metadata": {"annotations": {ANNOTATION: "west, Kubernetes"}}})
            await until(lambda: asyncio.to_thread(roots_in, east, first))
            assert roots_in(east, first).encode() == roots
            late = east.namespace("shop-")
            await until(lambda: asyncio.to_thread(roots_in, east, late))
            east.admin.patch(namespace(system), {"metadata": {"annotations": {ANNOTATION: None}}})
            lease = f"/apis/coordination.k8s.io/v1/namespaces/{system}/leases/istio-namespace-controller-election"
            await until(lambda: not east.admin.request("GET", lease)["spec"]["holderIdentity"])
    assert "403" not in caplog.text
