"""ConfigMap istio-ca-root-cert in the namespaces of a real cluster."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

from pilotpy.kube.root_certificates import RootCertificates, Rules
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Timing
from pilotpy.sources.kubernetes.login import default_login
from tests.asynchronous import asynchronous
from tests.kube.cluster import Refused
from tests.kube.plane import roots_in, roots_of
from tests.kube.waiting import soon
from tests.waiting import eventually, until

ROOTS = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
QUICK = Timing(pause=timedelta(milliseconds=50))


class Wanted:
    """What a test wants to be where, and what was done about it."""

    def __init__(self):
        self.roots = ROOTS
        self.labels = {}
        self.allowed = True
        self.asked = 0
        self.writes = []

    def may_write(self):
        self.asked += 1
        return self.allowed


@asynccontextmanager
async def kept(apiserver, wanted=None, kubeconfig=None):
    wanted = wanted or Wanted()
    rules = Rules(lambda: wanted.roots, lambda labels: wanted.labels.items() <= labels.items(), wanted.may_write)
    async with connected(default_login(kubeconfig or apiserver.kubeconfig)) as connection:
        certificates = RootCertificates(connection, rules, Random(1), wanted.writes.append, QUICK)
        task = asyncio.create_task(certificates.run())
        wanted.certificates = certificates
        try:
            yield wanted
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def hold(apiserver, namespace, roots=ROOTS):
    return await soon(lambda: roots_in(apiserver, namespace) == roots)


@asynchronous
async def test_every_namespace_has_the_roots_also_those_that_come_later(apiserver):
    early = apiserver.namespace()
    async with kept(apiserver):
        late = apiserver.namespace()
        for namespace in (early, late, "kube-system", "default"):
            assert await hold(apiserver, namespace), namespace
        assert apiserver.admin.read(roots_of(late))["metadata"]["labels"] == {"istio.io/config": "true"}
        for namespace in ("kube-public", "kube-node-lease"):
            assert not roots_in(apiserver, namespace)


@asynchronous
async def test_what_somebody_edits_or_deletes_is_put_right(apiserver):
    namespace = apiserver.namespace()
    async with kept(apiserver) as wanted:
        assert await hold(apiserver, namespace)
        edit = {"data": {"root-cert.pem": "mine"}, "metadata": {"annotations": {"of": "mine"}}}
        apiserver.admin.patch(roots_of(namespace), edit)
        assert await hold(apiserver, namespace)
        assert apiserver.admin.read(roots_of(namespace))["metadata"]["annotations"] == {"of": "mine"}
        apiserver.admin.patch(roots_of(namespace), {"metadata": {"labels": None}})
        await soon(lambda: "labels" in apiserver.admin.read(roots_of(namespace))["metadata"])
        apiserver.admin.delete(roots_of(namespace))
        assert await hold(apiserver, namespace)
        assert wanted.writes.count("restored") >= 2


@asynchronous
async def test_new_roots_go_everywhere(apiserver):
    namespaces = [apiserver.namespace() for _ in range(20)]
    async with kept(apiserver) as wanted:
        for namespace in namespaces:
            assert await hold(apiserver, namespace)
        wanted.roots = ROOTS * 2
        wanted.certificates.look_again()
        for namespace in namespaces:
            assert await hold(apiserver, namespace, ROOTS * 2)


@asynchronous
async def test_a_namespace_that_is_not_selected_gets_none_until_its_labels_change(apiserver):
    namespace, other = apiserver.namespace(), apiserver.namespace(mesh="yes")
    wanted = Wanted()
    wanted.labels = {"mesh": "yes"}
    async with kept(apiserver, wanted):
        assert await hold(apiserver, other)
        assert not roots_in(apiserver, namespace)
        one = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        apiserver.admin.patch(one, {"metadata": {"labels": {"mesh": "yes"}}})
        assert await hold(apiserver, namespace)


@asynchronous
async def test_a_namespace_that_is_being_deleted_is_left_in_peace(apiserver):
    namespace, other = apiserver.namespace(), apiserver.namespace()
    # Nobody finishes the deletion here, so it goes on for ever.
    apiserver.admin.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    async with kept(apiserver) as wanted:
        assert await hold(apiserver, other)
        wanted.certificates.look_again()
        assert not roots_in(apiserver, namespace)
        assert "failed" not in wanted.writes


@asynchronous
async def test_nothing_is_written_by_who_may_not_write_now(apiserver):
    namespace, wanted = apiserver.namespace(), Wanted()
    wanted.allowed = False
    async with kept(apiserver, wanted):
        await until(lambda: wanted.asked and not wanted.certificates._doubtful)
        assert not roots_in(apiserver, namespace)
        assert not wanted.writes
        wanted.allowed = True
        wanted.certificates.look_again()
        assert await hold(apiserver, namespace)


@asynchronous
async def test_where_writing_is_forbidden_it_is_tried_again_and_counted(apiserver):
    namespace = apiserver.namespace()
    apiserver.account(namespace, "reader")
    binding = grant(apiserver, namespace, ["get", "list", "watch"])
    token = apiserver.admin.token(namespace, "reader", "")
    kubeconfig = apiserver.kubeconfig_for(f"reader-{namespace}", {"token": token})
    async with kept(apiserver, kubeconfig=kubeconfig) as wanted:
        await soon(lambda: wanted.writes.count("failed") > 2)
        assert not roots_in(apiserver, namespace)
        binding(["get", "list", "watch", "create", "patch"])
        assert await hold(apiserver, namespace)


def grant(apiserver, namespace, verbs):
    """Let the reader do this with namespaces and ConfigMaps; returns what changes it."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": f"roots-{namespace}"}
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]}

    def rules(verbs):
        return {"rules": [{"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": verbs}]}

    apiserver.admin.create(
        role | rules(verbs), role | {"kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference}
    )
    return lambda verbs: apiserver.admin.patch(role, rules(verbs))


@asynchronous
async def test_roots_survive_an_api_server_that_is_restarted(apiserver):
    async with kept(apiserver) as wanted:
        assert await hold(apiserver, apiserver.namespace())
        await asyncio.to_thread(apiserver.restart, compacted=True)
        late = await asyncio.to_thread(eventually, apiserver.namespace, passing=(OSError, Refused))
        wanted.roots = ROOTS * 2
        wanted.certificates.look_again()
        assert await hold(apiserver, late, ROOTS * 2)
