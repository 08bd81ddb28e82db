"""Keys kept fresh: what is wanted is fetched, what came of it is an input, and nothing that was good is lost."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from pilotpy.follow import following
from pilotpy.mesh.kinds import KEY_SETS
from pilotpy.mesh.request_authentication import key_set
from pilotpy.model.key_set import KeySet, KeySource
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.xds.jwks import Refused
from pilotpy.xds.key_keeper import KeyKeeper, Rhythm
from tests.asynchronous import asynchronous
from tests.waiting import until
from tests.xds.test_jwks import KEYS, keys, server

A = KeySource("https://a/keys", "", timedelta(seconds=5))
B = KeySource("https://b/keys", "", timedelta(seconds=5))
QUICK = Rhythm(*[timedelta(milliseconds=1)] * 3)


class Written:
    """What a keeper wrote, in order; a reader can wait for more."""

    def __init__(self) -> None:
        self.outcomes = asyncio.Queue()

    def __call__(self, puts, causes):
        assert all(put.kind is KEY_SETS for put in puts)
        for put in puts:
            self.outcomes.put_nowait((put.key[0], put.value))


async def kept(answers):
    """A keeper whose fetches are answered in order, the last for ever; a text, or why there is none."""

    async def fetch(_source):
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Refused):
            raise found
        return found

    written = Written()
    return KeyKeeper(fetch, written, Metrics(), QUICK), written.outcomes


@asynchronous
async def test_keys_survive_failures_to_fetch_them_again():
    keeper, outcomes = await kept(["one", Refused("gone"), Refused("gone"), "two"])
    keeper.want((A,))
    found = [await outcomes.get() for _ in range(3)]
    assert found == [(A, KeySet("one")), (A, KeySet("one", "gone")), (A, KeySet("two"))]
    await keeper.close()


@asynchronous
async def test_a_failure_at_first_is_told():
    keeper, outcomes = await kept([Refused("no connection"), "one"])
    keeper.want((A,))
    assert await outcomes.get() == (A, KeySet("", "no connection"))
    assert await outcomes.get() == (A, KeySet("one"))
    await keeper.close()


@asynchronous
async def test_what_is_no_longer_wanted_is_dropped():
    keeper, outcomes = await kept(["one"])
    keeper.want((A, B))
    await keeper.first_round()
    keeper.want((B,))
    found = {await outcomes.get() for _ in range(3)}
    assert found == {(A, KeySet("one")), (B, KeySet("one")), (A, None)}
    await keeper.close()


POLICY = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: default}}
spec: {{jwtRules: [{{issuer: somebody, jwksUri: "{own}/keys"}}]}}
"""
NOWHERE = Settings(grpc_address="127.0.0.1:0", http_address="", monitoring_address="")


@asynchronous
async def test_a_control_plane_has_keys_before_it_serves(tmp_path):
    async with server(keys) as own:
        (tmp_path / "policy.yaml").write_text(POLICY.format(own=own))
        async with following(Folder([tmp_path]), NOWHERE) as served:
            source = KeySource(f"{own}/keys", "", timedelta(seconds=5))
            found = served.compiler.engine.ask(key_set, source)
            assert json.loads(found.text) == KEYS


@asynchronous
async def test_a_control_plane_fetches_what_a_new_policy_names(tmp_path):
    async with server(keys) as own, following(Folder([tmp_path]), NOWHERE) as served:
        (tmp_path / "policy.yaml").write_text(POLICY.format(own=own))
        source = KeySource(f"{own}/keys", "", timedelta(seconds=5))
        await until(lambda: served.compiler.engine.ask(key_set, source).text)
