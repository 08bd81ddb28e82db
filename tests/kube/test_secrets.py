"""Secrets over SDS in a real cluster: for service accounts that may list them, and for no others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest

from pilotpy.kube.access_review import AccessReviews, Rhythm
from pilotpy.mesh.view import Identity
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.xds.resource_type import CLUSTER, SECRET
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from tests.asynchronous import asynchronous
from tests.kube.plane import plane
from tests.kube.test_keys import Shop, secret
from tests.xds.client import resources_in

PAIR = {"tls.crt": b"chain", "tls.key": b"a private key", "ca.crt": b"roots"}


def allow(apiserver, namespace, account):
    """Let a service account list the Secrets of its namespace; returns what takes that back."""
    group = "rbac.authorization.k8s.io"
    metadata = {"namespace": namespace, "name": "reads-secrets"}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    reference = {"apiGroup": group, "kind": "Role", "name": "reads-secrets"}
    binding = role | {"kind": "RoleBinding", "subjects": [subject], "roleRef": reference}
    apiserver.admin.create(role | {"rules": rules}, binding)
    return lambda: apiserver.admin.delete(binding)


def keys_in(response):
    found = (Secret.FromString(body) for body in resources_in(response).values())
    return {one.name: one.tls_certificate.private_key.inline_bytes for one in found}


@pytest.mark.parametrize("allowed", [True, False], ids=["may list them", "may not"])
@asynchronous
async def test_keys_are_for_service_accounts_that_may_list_secrets_and_public_certificates_for_all(apiserver, allowed):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    apiserver.admin.create(secret(shop.name, "pair", PAIR))
    if allowed:
        allow(apiserver, shop.name, "web")
    async with plane(apiserver, system) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        async with served.proxy("web", shop.name, shop.token(), roots) as client:
            await client.ask(SECRET, ["kubernetes://pair", "kubernetes://pair-cacert"])
            response = await client.response()
            expected = {"kubernetes://pair": b"a private key"} if allowed else {}
            assert keys_in(response) == expected | {"kubernetes://pair-cacert": b""}
        metrics = served.server.instruments.metrics
        assert metrics.access_reviews["allowed" if allowed else "denied"] == 1
        assert metrics.absent_secrets[""] == (0 if allowed else 1)


@asynchronous
async def test_an_answer_is_given_once_for_all_streams_of_an_account_and_holds_up_nothing_else(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    apiserver.admin.create(secret(shop.name, "pair", PAIR))
    allow(apiserver, shop.name, "web")
    async with plane(apiserver, system) as served:
        roots, token = await asyncio.to_thread(served.roots, shop.name), shop.token()
        clients = [served.proxy("web", shop.name, token, roots) for _ in range(5)]
        for client in clients:
            await client.ask(CLUSTER)
            await client.ask(SECRET, ["kubernetes://pair"])
        for client in clients:
            urls = {(await client.response()).type_url}
            await client.answer(CLUSTER.url)
            urls.add((await client.response()).type_url)
            assert urls == {CLUSTER.url, SECRET.url}
            await client.close()
        assert served.server.instruments.metrics.access_reviews["allowed"] == 1


class Told:
    """What reviews have said."""

    def __init__(self):
        self.now, self.counts, self.changed = {}, [], asyncio.Event()

    async def tell(self, identity, allowed):
        self.now[identity] = allowed
        self.changed.set()

    async def until(self, identity, expected):
        async with asyncio.timeout(15):
            while self.now.get(identity, "nothing") != expected:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def reviews(apiserver, rhythm):
    told = Told()
    async with connected(default_login(apiserver.kubeconfig)) as connection:
        asked = AccessReviews(lambda _: connection, told.tell, told.counts.append, Random(1), rhythm)
        try:
            yield asked, told
        finally:
            await asked.close()


@asynchronous
async def test_rights_that_come_or_go_count_at_the_next_review_and_nobody_is_remembered_who_has_left(apiserver):
    shop = Shop(apiserver)
    web = Identity(shop.name, "web")
    quick = Rhythm(timedelta(seconds=0.2), timedelta(seconds=0.1))
    async with reviews(apiserver, quick) as (asked, told):
        await asked.reviewed("web-1", web)
        assert told.now == {web: False}
        take_back = allow(apiserver, shop.name, "web")
        await told.until(web, True)
        take_back()
        await told.until(web, False)
        asked.left("web-1")
        await told.until(web, None)


@asynchronous
async def test_while_the_api_server_does_not_answer_what_it_said_last_counts_and_who_is_new_gets_nothing(apiserver):
    shop = Shop(apiserver)
    web, other = Identity(shop.name, "web"), Identity(shop.name, "other")
    allow(apiserver, shop.name, "web")
    quick = Rhythm(timedelta(seconds=0.2), timedelta(seconds=0.1))
    async with reviews(apiserver, quick) as (asked, told):
        await asked.reviewed("web-1", web)
        apiserver.server.pause()
        try:
            await asked.reviewed("other-1", other)
        finally:
            apiserver.server.resume()
        assert told.now == {web: True}
        await told.until(other, False)
        assert "failed" in told.counts
