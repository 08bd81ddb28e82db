"""Tokens of service accounts as files, from a real API server."""

import asyncio
import stat

import pytest

from pilotpy.lab.cluster.tokens import Tokens, Wanted
from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.sources.kubernetes.trouble import Refused
from tests.kube.plane import pod
from tests.waiting import until


@pytest.fixture
def web(apiserver):
    namespace = apiserver.namespace()
    return pod(apiserver, namespace, "web")


def wanted(one, folder, **more):
    namespace, name = one["metadata"]["namespace"], one["metadata"]["name"]
    account = Ref("ServiceAccount", namespace, more.pop("account", name))
    bound = {"pod": Ref("Pod", namespace, name), "uid": one["metadata"]["uid"]}
    return Wanted(account, folder / "deep" / "istio-token", "istio-ca", **bound | more)


def kept(apiserver, steps):
    async def run():
        async with connected(default_login(apiserver.kubeconfig)) as connection:
            tokens = Tokens(connection)
            try:
                return await steps(tokens)
            finally:
                await tokens.stop()

    return asyncio.run(run())


def test_a_token_is_good_for_the_mesh_alone_and_for_nobody_else_to_read(apiserver, web, tmp_path):
    one = wanted(web, tmp_path)

    async def steps(tokens):
        tokens.keep({one})
        await until(one.file.exists)
        assert stat.S_IMODE(one.file.stat().st_mode) == 0o600
        review = {"token": one.file.read_text(), "audiences": ["istio-ca"]}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": review}
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        said = (await asyncio.to_thread(apiserver.admin.request, "POST", path, asked))["status"]
        assert said["authenticated"]
        assert said["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["web"]
        tokens.keep(set())
        assert not one.file.exists(), "a Pod of that name must not find it"

    kept(apiserver, steps)


def test_a_token_for_an_account_that_is_not_there_yet_comes_with_it(apiserver, web, tmp_path):
    one = wanted(web, tmp_path, account="late", pod=None, uid="")

    async def steps(tokens):
        with pytest.raises(Refused, match="404"):
            await tokens.fetch(one)
        tokens.keep({one})
        await asyncio.to_thread(apiserver.account, one.account.namespace, "late")
        await until(one.file.exists)

    kept(apiserver, steps)


def test_a_token_for_a_pod_that_was_replaced_is_refused(apiserver, web, tmp_path):
    async def steps(tokens):
        with pytest.raises(Refused, match="409"):
            await tokens.fetch(wanted(web, tmp_path, uid="another"))

    kept(apiserver, steps)
