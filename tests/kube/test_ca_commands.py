"""What people ask of the keys of a real cluster, and what several replicas make of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.x509 import verification

from pilotpy.kube import commands
from pilotpy.kube.accounts import ACCOUNTS, REPLICAS
from pilotpy.kube.leases import Terms as LeaseTerms
from pilotpy.sources.kubernetes.login import default_login
from pilotpy_ca.commands import Export, Failed, Issue, Revoke, Rotate, Show, Token
from pilotpy_ca.csr import new_request
from pilotpy_ca.errors import StorageError
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.asynchronous import asynchronous
from tests.authority.plane import CREATE, Workload, bearer, names
from tests.kube.cluster import Refused
from tests.kube.plane import plane
from tests.kube.test_keys import Shop, entered, secret
from tests.waiting import until
from tests.xds.client import OPTIONS

# One that is not lost when all of this machine is busy.
STEADY = LeaseTerms(timedelta(seconds=8), timedelta(seconds=6), timedelta(seconds=0.5))


async def ask(apiserver, system, command):
    return await commands.ask(default_login(apiserver.kubeconfig), system, command)


async def status(apiserver, system):
    return (await ask(apiserver, system, Show())).status


async def phases(apiserver, system):
    return [signer.phase for signer in (await status(apiserver, system)).signers]


@asynccontextmanager
async def planes(apiserver, system, count=2):
    """Replicas in one process, each with tasks of its own."""
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(*(entered(plane(apiserver, system, lease=STEADY)) for _ in range(count)))
        for _, leave in started:
            stack.push_async_callback(leave)
        yield [served for served, _ in started]


class Holder:
    """A workload that has its certificate renewed again and again, by whichever replica it is the turn of."""

    def __init__(self, shop, name, roots):
        shop.apiserver.account(shop.name, name)
        metadata = {"namespace": shop.name, "name": name}
        spec = {"serviceAccountName": name, "containers": [{"name": "app", "image": "none"}]}
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        self.pod = shop.apiserver.admin.create(made)
        self.token = shop.apiserver.admin.token(shop.name, name, "istio-ca", self.pod)
        self.name, self.roots, self.chain, self.key = f"{name}.{shop.name}", roots, b"", Workload()
        self.renewals = 0

    async def renew(self, served):
        """A handshake in which both show their certificates, and a certificate. Raises what goes wrong."""
        name = f"istiod.{served.system}.svc"
        shown = (self.key.key_pem, self.chain) if self.chain else ()
        credentials = grpc.ssl_channel_credentials(self.roots, *shown)
        options = [*OPTIONS, ("grpc.ssl_target_name_override", name)]
        async with grpc.aio.secure_channel(served.server.secure_address, credentials, options) as channel:
            call = channel.unary_unary(
                CREATE,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            key = Workload()
            answer = await call(IstioCertificateRequest(csr=key.csr()), metadata=bearer(self.token), timeout=15)
        *chain, roots = answer.cert_chain
        self.key, self.chain, self.roots = key, "".join(chain).encode(), roots.encode()
        self.renewals += 1

    def trusts(self, other):
        leaf, *above = x509.load_pem_x509_certificates(other.chain)
        store = verification.Store(x509.load_pem_x509_certificates(self.roots))
        verifier = verification.PolicyBuilder().store(store).time(datetime.now(UTC)).build_client_verifier()
        return verifier.verify(leaf, above)


async def renewing(holders, served):
    """Goes on for ever; whoever is not believed by another one ends it."""
    turn = 0
    while True:
        for holder in holders:
            turn += 1
            await holder.renew(served[turn % len(served)])
            for other in holders:
                other.trusts(holder)
                holder.trusts(other)


@pytest.mark.timeout(120)
@asynchronous
async def test_a_root_is_changed_under_load_by_two_replicas_and_nobody_fails(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with planes(apiserver, system) as served:
        old = await asyncio.to_thread(served[0].roots, shop.name)
        holders = [Holder(shop, f"web-{number}", old) for number in range(5)]
        late = Holder(shop, "late", old)
        await late.renew(served[1])
        for holder in holders:
            await holder.renew(served[0])
        load = asyncio.create_task(renewing(holders, served))
        try:
            assert (await ask(apiserver, system, Rotate())).events[0][0] == "prepared"

            async def waits_for_one():
                assert not load.done(), load.exception()
                stands = [wait.holders for wait in (await status(apiserver, system)).waits]
                return stands == [(late.name,)]

            await until(waits_for_one, 30)
            assert await phases(apiserver, system) == ["active", "prepared"]
            await late.renew(served[0])

            async def is_at(expected):
                assert not load.done(), load.exception()
                return await phases(apiserver, system) == expected

            await until(lambda: is_at(["active", "old"]), 30)
            before = [holder.renewals for holder in holders]
            await late.renew(served[1])
            await until(lambda: is_at(["active"]), 30)
            after = [holder.renewals for holder in holders]
            assert all(one < other for one, other in zip(before, after, strict=True)), "all went on meanwhile"
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        new = (await ask(apiserver, system, Export())).roots.encode()
        assert new != old
        for one in served:
            await late.renew(one)
            assert late.roots == new


@asynchronous
async def test_a_replica_that_died_holds_a_rotation_up_only_until_it_is_missed_and_its_certificates_count(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with planes(apiserver, system, 1) as (served,):
        old = await asyncio.to_thread(served.roots, shop.name)
        holder = Holder(shop, "web-1", old)
        dead = json.dumps({"signer": "somebody", "roots": [], "beat": 7})
        replicas = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": system, "name": REPLICAS}}
        apiserver.admin.patch(replicas, {"data": {"dead": dead}})
        await holder.renew(served)
        accounts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": system, "name": ACCOUNTS}}

        async def told():
            return list((await asyncio.to_thread(apiserver.admin.read, accounts)).get("binaryData", {}).values())

        await until(told)
        apiserver.admin.patch(accounts, {"binaryData": {"dead": (await told())[0]}})
        await ask(apiserver, system, Rotate())
        assert "replica dead" in (await status(apiserver, system)).waits[0].holders

        async def missed():
            return [wait.holders for wait in (await status(apiserver, system)).waits] == [(holder.name,)]

        await until(missed, 20)
        await holder.renew(served)

        async def activated():
            return (await phases(apiserver, system))[:2] == ["active", "old"]

        await until(activated, 20)


@asynchronous
async def test_who_is_revoked_and_banned_by_command_is_refused_by_every_replica(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with planes(apiserver, system) as served:
        roots = await asyncio.to_thread(served[0].roots, shop.name)
        workload = Workload()
        workload.chain = "".join((await served[0].certificate(workload, shop.token(), roots))[:-1]).encode()
        serial = f"{x509.load_pem_x509_certificate(workload.chain).serial_number:x}"

        async def counted():
            return (await status(apiserver, system)).certificates

        await until(counted)
        events = (await ask(apiserver, system, Revoke(name=shop.identity, ban=True))).events
        assert [(what, about) for what, about, _ in events] == [("revoked", serial), ("banned", shop.identity)]
        for one in served:

            async def is_refused(one=one):
                try:
                    await one.certificate(Workload(), shop.token(), roots)
                except grpc.aio.AioRpcError as error:
                    return error.code() is grpc.StatusCode.UNAUTHENTICATED
                return False

            await until(is_refused)
        await ask(apiserver, system, Revoke(name=shop.identity, unban=True))

        async def is_served():
            try:
                return names(await served[1].certificate(Workload(), shop.token(), roots)) == [shop.identity]
            except grpc.aio.AioRpcError:
                return False

        await until(is_served)


@asynchronous
async def test_what_a_command_issues_is_known_to_all(apiserver):
    system = apiserver.namespace("system-")
    async with planes(apiserver, system, 1):
        request = new_request(PrivateKey.new(KeyType.P256)).decode()
        issued = await ask(apiserver, system, Issue(request, "spiffe://cluster.local/ns/vm/sa/db"))
        events = (await ask(apiserver, system, Revoke(name="spiffe://cluster.local/ns/vm/sa/db"))).events
        assert [(what, about) for what, about, _ in events] == [("revoked", issued.serial)]
        assert (await status(apiserver, system)).revoked == 1
    replicas = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": system, "name": REPLICAS}}
    assert not apiserver.admin.read(replicas).get("data"), "who goes says so"
    assert (await status(apiserver, system)).certificates == 1, "and what was given is known"


@asynchronous
async def test_a_question_makes_no_keys_and_no_token(apiserver):
    system = apiserver.namespace("system-")
    with pytest.raises(StorageError, match="there are no keys"):
        await ask(apiserver, system, Show())
    with pytest.raises(Refused, match="404"):
        apiserver.admin.read(secret(system))
    assert isinstance(await ask(apiserver, system, Token("shop", "web", "web-1")), Failed)


@asynchronous
async def test_the_command_line_looks_after_the_keys_of_a_cluster(apiserver):
    system = apiserver.namespace("system-")

    async def said(*command):
        arguments = (*command, "--kubernetes", "--kubeconfig", str(apiserver.kubeconfig), "-n", system)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pilotpy", "ca", *arguments, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
        text, _ = await process.communicate()
        assert process.returncode == 0
        return text.decode()

    async with planes(apiserver, system, 1):
        assert (await said("show")).startswith("trust domain cluster.local; 0 certificates, 0 revoked\nactive ")
        assert (await said("rotate")).startswith("prepared ")
        shown = await said("show")
        assert "\nwaiting to activate " in shown or "\nold " in shown
        assert (await said("revoke", "spiffe://cluster.local/ns/shop/sa/web", "--ban")).startswith("banned spiffe://")
        assert "\nbanned spiffe://cluster.local/ns/shop/sa/web" in await said("show")


def role(system, *rules):
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"namespace": system, "name": "keys"},
        "rules": [{"apiGroups": [""], "resources": [what], "verbs": verbs} for what, *verbs in rules],
    }


def bound(system):
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"namespace": system, "name": "keys"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "keys"},
        "subjects": [{"kind": "ServiceAccount", "namespace": system, "name": "somebody"}],
    }


LACKING = [
    pytest.param((), "show", "cannot get", "secrets", id="anything"),
    pytest.param((("secrets", "get"),), "show", "cannot get", "configmaps", id="what replicas told"),
    pytest.param((("secrets", "get"), ("configmaps", "get")), "rotate", "cannot update", "secrets", id="any writing"),
]


@pytest.mark.parametrize(("rules", "command", "verb", "what"), LACKING)
@asynchronous
async def test_who_lacks_the_right_to_is_told_which_and_nothing_is_changed(apiserver, rules, command, verb, what):
    system = apiserver.namespace("system-")
    apiserver.account(system, "somebody")
    apiserver.admin.create(role(system, *rules), bound(system))
    token = apiserver.admin.token(system, "somebody", "")
    kubeconfig = apiserver.kubeconfig_for(f"somebody-{system}", {"token": token})
    async with planes(apiserver, system, 1):
        before = apiserver.admin.read(secret(system))["data"]
        arguments = (command, "--kubernetes", "--kubeconfig", str(kubeconfig), "-n", system)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pilotpy", "ca", *arguments, stdout=pipe, stderr=pipe, env=dict(os.environ)
        )
        said, why = (one.decode() for one in await process.communicate())
        assert (process.returncode, said) == (1, "")
        assert verb in why
        assert what in why
        assert "Traceback" not in why
        assert token not in why
        assert apiserver.admin.read(secret(system))["data"] == before
