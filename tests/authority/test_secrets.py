"""Secrets over ADS: for whom, when they change, and that nobody else sees them."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from pilotpy.engine import Engine
from pilotpy.xds.inspection import EVERYTHING, Inspection
from pilotpy.xds.resource_type import CLUSTER, LISTENER, SECRET
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from tests.asynchronous import asynchronous
from tests.authority.plane import SHOP, plane
from tests.xds.client import Client, node_id, resources_in

BOTH = pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
KEY = "a private key"


def secret(name: str, namespace: str = "shop", key: str = KEY) -> str:
    encoded = {"tls.crt": b64encode(b"chain").decode(), "tls.key": b64encode(key.encode()).decode()}
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}}}
type: kubernetes.io/tls
data: {json.dumps(encoded)}
---
"""


def keys_in(response) -> dict[str, str]:
    found = (Secret.FromString(body) for body in resources_in(response).values())
    return {one.name: one.tls_certificate.private_key.inline_bytes.decode() for one in found}


@BOTH
@asynchronous
async def test_a_proxy_gets_its_own_namespaces_secrets_now_and_when_they_come_or_change(tmp_path, incremental):
    text = SHOP + secret("here") + secret("vault", "bank")
    names = ["kubernetes://bank/vault", "kubernetes://here", "kubernetes://later"]
    async with plane(tmp_path, text) as served, served.proxy("gateway", incremental=incremental) as client:
        await client.ask(SECRET, names)
        assert keys_in(await client.response()) == {"kubernetes://here": KEY}
        assert served.server.instruments.metrics.absent_secrets[""] == 2
        await client.answer(SECRET.url, [] if incremental else names)
        (served.folder / "later.yaml").write_text(secret("later", key="another"))
        assert keys_in(await client.response())["kubernetes://later"] == "another"
        await client.answer(SECRET.url, [] if incremental else names)
        (served.folder / "mesh.yaml").write_text(SHOP + secret("here", key="newer") + secret("vault", "bank"))
        assert keys_in(await client.response())["kubernetes://here"] == "newer"


@BOTH
@asynchronous
async def test_names_may_be_added_and_dropped(tmp_path, incremental):
    async with (
        plane(tmp_path, SHOP + secret("a") + secret("b")) as served,
        served.proxy("gateway", incremental=incremental) as client,
    ):
        await client.ask(SECRET, ["kubernetes://a"])
        assert keys_in(await client.response()).keys() == {"kubernetes://a"}
        await client.answer(SECRET.url, ["kubernetes://b"] if incremental else ["kubernetes://a", "kubernetes://b"])
        assert "kubernetes://b" in keys_in(await client.response())


@BOTH
@asynchronous
async def test_what_is_absent_is_not_answered_and_holds_up_nothing_else(tmp_path, incremental):
    async with plane(tmp_path) as served, served.proxy("gateway", incremental=incremental) as client:
        await client.ask(SECRET, ["kubernetes://none"])
        await client.ask(CLUSTER)
        assert (await client.response()).type_url == CLUSTER.url
        await client.answer(CLUSTER.url)
        assert await client.silence()


@asynchronous
async def test_a_secret_that_goes_is_not_taken_from_who_holds_it(tmp_path):
    async with plane(tmp_path, SHOP + secret("here")) as served, served.proxy("gateway") as client:
        await client.ask(SECRET, ["kubernetes://here"])
        await client.response()
        await client.answer(SECRET.url)
        (served.folder / "mesh.yaml").write_text(SHOP)
        (served.folder / "other.yaml").write_text(secret("other"))
        await client.ask(SECRET, ["kubernetes://other"])
        response = await client.response()
        assert keys_in(response).keys() == {"kubernetes://other"}
        assert not response.removed_resources


@asynchronous
async def test_nobody_gets_secrets_in_plaintext(tmp_path):
    async with plane(tmp_path, SHOP + secret("here")) as served:
        metadata = {"NAMESPACE": "shop", "SERVICE_ACCOUNT": "gateway"}
        async with Client(served.server.address, node_id("gateway", "shop"), metadata) as client:
            await client.ask(SECRET, ["kubernetes://here"])
            assert await client.silence()


@asynchronous
async def test_keys_are_in_no_page_and_in_no_log(tmp_path, caplog):
    caplog.set_level("DEBUG")
    async with plane(tmp_path, SHOP + secret("here")) as served, served.proxy("gateway") as client:
        await client.ask(SECRET, ["kubernetes://here"])
        await client.response()
        inspection = Inspection(served.server.edge, served.server.instruments, Engine())
        shown = {}
        for page in inspection.names:
            for types in ("", "sds"):
                params = {"proxyID": "gateway.shop", **({"types": types} if types else {})}
                shown[page, types] = (await inspection.page(page, params, EVERYTHING)).body.decode()
    assert "kubernetes://here" in shown["config_dump", ""]
    assert "kubernetes://here" in shown["config_dump", "sds"]
    assert b64encode(b"[redacted]").decode() in shown["config_dump", "sds"]
    for text in (*shown.values(), caplog.text, *(str(record.__dict__) for record in caplog.records)):
        assert KEY not in text
        assert b64encode(KEY.encode()).decode() not in text


@asynchronous
async def test_a_key_that_an_issuer_shares_with_verifiers_is_served_and_shown_on_no_page(tmp_path):
    shared = b64encode(b"shared with nobody else, thirty-two bytes").decode().rstrip("=")
    policy = f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: shared, namespace: shop}}
spec:
  jwtRules: [{{issuer: "https://issuer", jwks: '{{"keys":[{{"kty":"oct","kid":"one","k":"{shared}"}}]}}'}}]
"""
    async with plane(tmp_path, SHOP + policy) as served, served.proxy("web") as client:
        await client.ask(LISTENER)
        assert any(shared.encode() in resource.resource.value for resource in (await client.response()).resources)
        inspection = Inspection(served.server.edge, served.server.instruments, Engine())
        page = await inspection.page("config_dump", {"proxyID": "web.shop"}, EVERYTHING)
    text = page.body.decode()
    assert "https://issuer" in text
    assert shared not in text
