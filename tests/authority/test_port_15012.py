"""Port 15012, with real TLS and real gRPC: who gets in, as whom, and what the others are told."""

from __future__ import annotations

import asyncio
import base64
import json
import logging

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy.mesh.view import Identity
from pilotpy.xds.resource_type import CLUSTER, LISTENER, SECRET
from pilotpy_ca.jwt import signed_token
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.asynchronous import asynchronous
from tests.authority.plane import CREATE, SETTINGS, Plane, Workload, bearer, names, plane, shown_to
from tests.waiting import until
from tests.xds.client import OPTIONS, Client, node_id

WEB = "spiffe://cluster.local/ns/shop/sa/web"


def tampered(token: str, **claims: object) -> str:
    head, body, signature = token.split(".")
    old = json.loads(base64.urlsafe_b64decode(body + "=="))
    new = base64.urlsafe_b64encode(json.dumps(old | claims).encode()).rstrip(b"=").decode()
    return f"{head}.{new}.{signature}"


def unsigned(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def signed_by_another(token: str) -> str:
    body = token.split(".")[1]
    return signed_token(PrivateKey.new(KeyType.P256), json.loads(base64.urlsafe_b64decode(body + "==")))


def signed_again(plane: Plane, **claims: object) -> str:
    """A token of the plane's own issuer that says something else."""
    key = PrivateKey.from_pem((plane.keys.folder / "token-key.pem").read_bytes())
    body = plane.token("web").split(".")[1]
    return signed_token(key, json.loads(base64.urlsafe_b64decode(body + "==")) | claims)


ADMIN = "system:serviceaccount:shop:admin"
BAD_TOKENS = [
    pytest.param(lambda plane: None, "none was shown", id="nothing"),
    pytest.param(lambda plane: "hello", "not a signed token", id="no token at all"),
    pytest.param(lambda plane: unsigned(plane.token("web")), "not a signed token", id="one without a signature"),
    pytest.param(lambda plane: tampered(plane.token("web"), sub=ADMIN), "by none of the keys", id="one changed"),
    pytest.param(lambda plane: signed_by_another(plane.token("web")), "no key for", id="another issuer's key"),
    pytest.param(lambda plane: signed_again(plane, aud=["kubernetes"]), "audience", id="another audience"),
    pytest.param(lambda plane: signed_again(plane, iss="https://other"), "issuer is", id="another issuer"),
    pytest.param(lambda plane: signed_again(plane, exp=1_000_000_000), "ended at", id="an expired one"),
    pytest.param(lambda plane: signed_again(plane, nbf=9_000_000_000), "not valid before", id="one of the future"),
    pytest.param(lambda plane: signed_again(plane, sub="jane"), "not a service account", id="a person's"),
    pytest.param(lambda plane: signed_again(plane, sub=f"{ADMIN}/../x"), "not a namespace", id="one with a path"),
    pytest.param(lambda plane: "x" * 7000, "not a signed token", id="one as long as a header may be"),
]


@asynchronous
async def test_a_token_gets_its_pods_certificate_whatever_the_request_says(tmp_path):
    async with plane(tmp_path) as served:
        workload = Workload()
        request = IstioCertificateRequest(csr=workload.csr(["spiffe://cluster.local/ns/istio-system/sa/istiod"]))
        async with served.channel() as channel:
            call = channel.unary_unary(CREATE, request_serializer=IstioCertificateRequest.SerializeToString)
            raw = await call(request, metadata=bearer(served.token("web")))
        chain = IstioCertificateResponse.FromString(raw).cert_chain
    assert names(chain) == [WEB]
    assert len(chain) == 2
    assert chain[-1].encode() == served.roots


@asynchronous
async def test_a_certificate_gets_its_successor(tmp_path):
    async with plane(tmp_path) as served:
        identity = await served.identity()
        async with served.channel(identity) as channel:
            call = channel.unary_unary(CREATE, request_serializer=IstioCertificateRequest.SerializeToString)
            raw = await call(IstioCertificateRequest(csr=identity.csr()))
    assert names(IstioCertificateResponse.FromString(raw).cert_chain) == [WEB]


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
@pytest.mark.parametrize("by", ["token", "certificate"])
@asynchronous
async def test_who_proves_who_it_is_is_served(tmp_path, by, incremental):
    async with plane(tmp_path) as served:
        identity = await served.identity() if by == "certificate" else None
        async with served.proxy(identity=identity, incremental=incremental, SERVICE_ACCOUNT="web") as client:
            await client.ask(CLUSTER)
            assert (await client.response()).resources
            (connection,) = served.server.edge.connections.values()
            assert connection.node.identity == Identity("shop", "web")
            assert connection.peer.startswith("127.0.0.1:")


@pytest.mark.parametrize(("bad", "why"), BAD_TOKENS)
@asynchronous
async def test_who_does_not_is_told_nothing_and_the_log_tells_why(tmp_path, bad, why, caplog, monkeypatch):
    for name in ("pilotpy", "pilotpy_ca"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    async with plane(tmp_path) as served:
        token = bad(served)
        headers = bearer(token) if token else ()
        async with Client("", node_id("web", "shop"), channel=served.channel(), headers=headers) as client:
            assert await client.refusal() == (grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.certificate(Workload(), token or "")
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert refused.value.details() == "request authenticate failure"
        assert served.server.instruments.metrics.refused_callers["authentication"] == 1
        counted = served.server.instruments.metrics.registry.get_sample_value
        assert counted("citadel_server_authentication_failure_count") == 1
        told = {record.message: record.fields_of_record.get("reason", "") for record in caplog.records}
        assert why in told["not authenticated"]
        assert why in told["certificate refused"]
        assert not any(token and token in str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize(
    ("namespace", "metadata"),
    [
        pytest.param("bank", {}, id="another namespace"),
        pytest.param("shop", {"SERVICE_ACCOUNT": "gateway"}, id="another service account"),
        pytest.param("shop", {"NAMESPACE": "bank"}, id="a namespace in the metadata that is another one"),
    ],
)
@asynchronous
async def test_nobody_goes_by_another_name_than_its_own(tmp_path, namespace, metadata):
    async with plane(tmp_path) as served:
        async with served.proxy("web", namespace, token=served.token("web"), **metadata) as client:
            code, details = await client.refusal()
        assert (code, details[:20]) == (grpc.StatusCode.PERMISSION_DENIED, "authorization failed")
        assert served.server.instruments.metrics.refused_callers["identity"] == 1


@asynchronous
async def test_certificates_of_other_authorities_end_in_the_handshake(tmp_path):
    (tmp_path / "other").mkdir()
    async with plane(tmp_path) as served, plane(tmp_path / "other") as other:
        foreign = await other.identity()
        async with served.proxy(identity=foreign, token=served.token("web")) as client:
            assert (await client.refusal())[0] is grpc.StatusCode.UNAVAILABLE


@asynchronous
async def test_a_certificate_of_another_trust_domain_ends_in_the_handshake(tmp_path):
    mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
    async with plane(tmp_path) as served:
        identity = await served.identity()
        moved = mesh + "data: {mesh: 'trustDomain: elsewhere'}\n---\n"
        (served.folder / "settings.yaml").write_text(moved)
        workload = Workload()

        async def moved_too():
            return names(await served.certificate(workload, served.token("web")))[0] != WEB

        await until(moved_too)
        async with served.proxy(identity=identity) as client:
            assert (await client.refusal())[0] is grpc.StatusCode.UNAVAILABLE


@asynchronous
async def test_who_reaches_the_inner_server_without_the_front_is_refused(tmp_path):
    async with plane(tmp_path) as served:
        inner = served.server._transports[0]._front.inner_address
        headers = bearer(served.token("web"))
        channel = grpc.aio.insecure_channel(inner, options=OPTIONS)
        async with Client("", node_id("web", "shop"), channel=channel, headers=headers) as client:
            assert await client.refusal() == (grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        assert served.server.instruments.metrics.refused_callers["front"] == 1
        async with grpc.aio.insecure_channel(inner, options=OPTIONS) as direct:
            call = direct.unary_unary(CREATE, request_serializer=IstioCertificateRequest.SerializeToString)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(IstioCertificateRequest(csr=Workload().csr()), metadata=headers)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@asynchronous
async def test_certificates_are_not_given_out_in_plaintext(tmp_path):
    async with plane(tmp_path) as served, grpc.aio.insecure_channel(served.server.address) as channel:
        call = channel.unary_unary(CREATE, request_serializer=IstioCertificateRequest.SerializeToString)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(IstioCertificateRequest(csr=Workload().csr()), metadata=bearer(served.token("web")))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@asynchronous
async def test_the_plaintext_port_can_be_switched_off(tmp_path):
    async with plane(tmp_path, settings=SETTINGS._replace(grpc_address="")) as served:
        assert served.server.address == ""
        async with served.proxy() as client:
            await client.ask(LISTENER)
            assert (await client.response()).resources


@asynchronous
async def test_noise_and_handshakes_that_never_end_keep_nobody_out(tmp_path):
    async with plane(tmp_path) as served:
        host, _, port = served.server.secure_address.rpartition(":")
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"\x16\x03\x01\x02")  # the first bytes of a ClientHello
        noisy = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        for reader, writer in noisy:
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
            assert not (await reader.read()).startswith(b"HTTP")
            writer.close()
        async with served.proxy() as client:
            await client.ask(CLUSTER)
            assert (await client.response()).resources
        for _, writer in slow:
            writer.close()


@asynchronous
async def test_its_certificate_has_istiods_names_and_is_renewed_under_open_streams(tmp_path):
    async with plane(tmp_path) as served, served.proxy() as client:
        await client.ask(CLUSTER)
        await client.response()
        first = await asyncio.to_thread(shown_to, served.server.secure_address, served.roots)
        assert names([first.public_bytes(Encoding.PEM).decode()]) == [
            "istio-pilot.istio-system.svc",
            "istiod-remote.istio-system.svc",
            "istiod.istio-system.svc",
        ]
        mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
        text = mesh + "data: {mesh: 'defaultConfig: {discoveryAddress: \"plane.example:15012\"}'}\n"
        (served.folder / "settings.yaml").write_text(text)

        async def renewed():
            second = await asyncio.to_thread(shown_to, served.server.secure_address, served.roots)
            return second.serial_number != first.serial_number

        await until(renewed)
        await client.ask(SECRET, ["kubernetes://none"])
        await client.ask(LISTENER)
        assert (await client.response()).type_url == LISTENER.url
