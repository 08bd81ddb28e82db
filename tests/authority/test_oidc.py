"""Tokens of an issuer elsewhere, whose keys are fetched."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import grpc
import pytest

from pilotpy.authority.oidc import rule_of
from pilotpy.ops.settings import Wrong
from pilotpy_ca.jwt import jwks_of, signed_token
from pilotpy_ca.keys import KeyType, PrivateKey
from tests.asynchronous import asynchronous
from tests.authority.plane import SETTINGS, Workload, names, plane
from tests.waiting import until
from tests.xds.test_jwks import plain, server

ISSUER = "https://tokens.example"
KEYS_FETCHED = "pilot_jwks_resolver_network_fetch_success_total"
KEY = PrivateKey.new(KeyType.P256)


def token(audience: str = "mesh") -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "aud": [audience], "exp": now + 600, "sub": "system:serviceaccount:bank:teller"}
    return signed_token(KEY, claims)


@asynchronous
async def test_a_token_of_a_trusted_issuer_gets_a_certificate_once_its_keys_are_there(tmp_path):
    async with server(lambda _path, _own: plain(jwks_of(KEY))) as own:
        rule = json.dumps({"issuer": ISSUER, "jwks_uri": f"{own}/keys", "audiences": ["mesh"]})
        async with plane(tmp_path, settings=SETTINGS._replace(jwt_rule=rule)) as served:
            counted = served.server.instruments.metrics.registry.get_sample_value
            await until(lambda: counted(KEYS_FETCHED))
            chain = await served.certificate(Workload(), token())
            assert names(chain) == ["spiffe://cluster.local/ns/bank/sa/teller"]
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.certificate(Workload(), token("somebody else"))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            own_pods = await served.certificate(Workload(), served.token("web"))
            assert names(own_pods) == ["spiffe://cluster.local/ns/shop/sa/web"]


@asynchronous
async def test_keys_may_be_written_in_the_rule(tmp_path):
    rule = json.dumps({"issuer": ISSUER, "jwks": jwks_of(KEY).decode(), "audiences": ["mesh"]})
    async with plane(tmp_path, settings=SETTINGS._replace(jwt_rule=rule)) as served:
        assert await served.certificate(Workload(), token())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="no object"),
        pytest.param('{"issuer": "a"}', id="no audiences"),
        pytest.param('{"issuer": "a", "audiences": []}', id="empty audiences"),
        pytest.param('{"issuer": "", "audiences": ["b"]}', id="an empty issuer"),
        pytest.param('{"issuer": "a", "audiences": ["b"], "audience": "c"}', id="a field that there is not"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(text):
    with pytest.raises(Wrong, match="JWT_RULE"):
        rule_of(text)
