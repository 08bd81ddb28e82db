"""Certificates of a signer of somebody else's, over the CSR API of a real API server."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotpy.agent.pod_agent import PodAgent
from pilotpy.agent.settings import AgentSettings
from pilotpy.kube import commands
from pilotpy.kube.csr_signer import Signer, check, signer_of
from pilotpy.ops.settings import Wrong
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.xds.resource_type import CLUSTER
from pilotpy_ca.certificates import intermediate_certificate, pem, root_certificate
from pilotpy_ca.commands import Revoke
from pilotpy_ca.errors import CsrError
from pilotpy_ca.keys import KeyType, PrivateKey, signature_hash
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.asynchronous import asynchronous
from tests.authority.plane import CREATE, Workload, bearer, names
from tests.kube.plane import plane
from tests.kube.test_keys import Shop
from tests.waiting import until
from tests.xds.client import Client, node_id

COLLECTION = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
DAY = timedelta(days=1)
WEB = "spiffe://cluster.local/ns/shop/sa/web"


class Authority:
    """Somebody else's, in the cluster: signs what is approved for it."""

    def __init__(self, apiserver, name):
        self.apiserver, self.name = apiserver, name
        top, self.key = (PrivateKey.new(KeyType.P256) for _ in range(2))
        now = datetime.now(UTC)
        self.root = root_certificate(top, "theirs", now - DAY, DAY * 300)
        self.certificate = intermediate_certificate(self.key.public, "below", (self.root, top), now - DAY, DAY * 200)
        self.ends_with_root = False
        self.answer = self.signed

    async def run(self):
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(0.05)

    def _look(self):
        for one in self.apiserver.admin.request("GET", COLLECTION)["items"]:
            conditions = {condition["type"] for condition in one["status"].get("conditions", ())}
            if (
                one["spec"]["signerName"] == self.name
                and conditions == {"Approved"}
                and "certificate" not in one["status"]
            ):
                status = self.answer(x509.load_pem_x509_csr(base64.b64decode(one["spec"]["request"])))
                status.setdefault("conditions", []).extend(one["status"]["conditions"])
                path = f"{COLLECTION}/{one['metadata']['name']}/status"
                self.apiserver.admin.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def signed(self, request):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
        for extension in request.extensions:
            builder = builder.add_extension(extension.value, critical=True)
        leaf = builder.sign(self.key.signing, signature_hash(self.key.public))
        chain = pem(leaf) + pem(self.certificate) + (pem(self.root) if self.ends_with_root else b"")
        return {"certificate": base64.b64encode(chain).decode()}

    def refused(self, request):
        return {"conditions": [{"type": "Failed", "status": "True", "reason": "No", "message": "not today"}]}


@asynccontextmanager
async def signing(apiserver, name="example.com/mesh"):
    authority = Authority(apiserver, name)
    task = asyncio.create_task(authority.run())
    try:
        yield authority
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def certificate(served, shop, roots, *, workload=None, uris=None, **said):
    workload = workload or Workload()
    request = IstioCertificateRequest(csr=workload.csr(uris if uris is not None else [shop.identity]))
    request.metadata.update(said)
    async with served.channel(roots) as channel:
        call = channel.unary_unary(
            CREATE,
            request_serializer=IstioCertificateRequest.SerializeToString,
            response_deserializer=IstioCertificateResponse.FromString,
        )
        answer = await call(request, metadata=bearer(shop.token()), timeout=25)
    return list(answer.cert_chain)


def left(apiserver):
    return [one["metadata"]["name"] for one in apiserver.admin.request("GET", COLLECTION)["items"]]


@asynchronous
async def test_a_signer_in_the_cluster_signs_for_workloads_and_they_are_known_by_its_certificates(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with signing(apiserver) as authority:
        signer = Signer("example.com/mesh", roots=(pem(authority.root),))
        async with plane(apiserver, system, signer=signer) as served:
            roots = await asyncio.to_thread(served.roots, shop.name)
            assert pem(authority.root) in roots, "namespaces are told both roots"
            workload = Workload()
            chain = await certificate(served, shop, roots, workload=workload)
            assert names(chain) == [shop.identity]
            assert chain[1:] == [pem(authority.certificate).decode(), pem(authority.root).decode()]
            assert not left(apiserver)

            workload.chain = "".join(chain[:-1]).encode()
            credentials = grpc.ssl_channel_credentials(roots, workload.key_pem, workload.chain)
            options = [("grpc.ssl_target_name_override", f"istiod.{system}.svc")]
            channel = grpc.aio.secure_channel(served.server.secure_address, credentials, options)
            async with Client("", node_id("web", shop.name), {"NAMESPACE": shop.name}, channel=channel) as client:
                await client.ask(CLUSTER)
                assert await client.response()


@pytest.mark.parametrize(
    ("signer", "asks_for"),
    [
        pytest.param(Signer("example.com/mesh"), "", id="the one that signs for all"),
        pytest.param(Signer(domain="example.com"), "mesh", id="one that its environment names"),
    ],
)
@asynchronous
async def test_an_agent_of_ours_is_signed_for_by(apiserver, tmp_path, signer, asks_for):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with (
        signing(apiserver) as authority,
        plane(apiserver, system, signer=signer._replace(roots=(pem(authority.root),))) as served,
    ):
        roots = await asyncio.to_thread(served.roots, shop.name)
        files = {"secrets/istio/root-cert.pem": roots.decode(), "secrets/tokens/istio-token": shop.token()}
        for name, text in files.items():
            file = tmp_path / "var/run" / name
            file.parent.mkdir(parents=True)
            file.write_text(text)
        environment = {
            "POD_NAMESPACE": shop.name,
            "SERVICE_ACCOUNT": "web",
            "PILOTPY_DISCOVERY_ADDRESS": served.server.secure_address,
            "ISTIOD_SAN": f"istiod.{system}.svc",
            "CA_ROOT_CA": "var/run/secrets/istio/root-cert.pem",
            "ISTIO_META_CERT_SIGNER": asks_for,
            "PROXY_CONFIG": "statusPort: 0",
        }
        async with PodAgent(AgentSettings.of(environment, tmp_path)) as agent:
            held = await until(lambda: agent.holding.now.certificate)
            assert held.identity == shop.identity
            assert held.roots == pem(authority.root)
        assert not left(apiserver)


@asynchronous
async def test_who_is_banned_has_nothing_signed_by_others_either(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with signing(apiserver) as authority:
        signer = Signer("example.com/mesh", roots=(pem(authority.root),))
        async with plane(apiserver, system, signer=signer) as served:
            roots = await asyncio.to_thread(served.roots, shop.name)
            login = default_login(apiserver.kubeconfig)
            await commands.ask(login, system, Revoke(name=shop.identity, ban=True))

            async def is_refused():
                try:
                    await certificate(served, shop, roots)
                except grpc.aio.AioRpcError as error:
                    return error.code() is grpc.StatusCode.UNAUTHENTICATED
                return False

            await until(is_refused)


@asynchronous
async def test_a_request_may_name_its_signer_whose_root_the_mesh_or_the_chain_tells(apiserver):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with signing(apiserver, "example.com/blue") as authority:
        authority.ends_with_root = True
        async with plane(apiserver, system, signer=Signer(domain="example.com")) as served:
            roots = await asyncio.to_thread(served.roots, shop.name)
            chain = await certificate(served, shop, roots, CertSigner="blue")
            assert chain[1:] == [pem(authority.certificate).decode(), pem(authority.root).decode()]
            with pytest.raises(grpc.aio.AioRpcError, match="CSR_ERROR"):
                await certificate(served, shop, roots)

            authority.ends_with_root = False
            with pytest.raises(grpc.aio.AioRpcError, match="CSR_ERROR"):
                await certificate(served, shop, roots, CertSigner="blue")
            indented = pem(authority.root).decode().replace("\n", "\n    ")
            mesh = f"caCertificates:\n- certSigners: [example.com/blue]\n  pem: |\n    {indented}"
            metadata = {"namespace": system, "name": "istio"}
            apiserver.admin.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": mesh}}
            )
            chain = await until(
                lambda: certificate(served, shop, roots, CertSigner="blue"), passing=grpc.aio.AioRpcError
            )
            assert chain[-1] == pem(authority.root).decode()


BAD_ANSWERS = [
    pytest.param(lambda authority: authority.refused, id="fails"),
    pytest.param(
        lambda authority: lambda _: {"certificate": base64.b64encode(pem(authority.certificate)).decode()},
        id="answers with a certificate for another key",
    ),
    pytest.param(lambda authority: Authority(authority.apiserver, "other").signed, id="leads to another root"),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
@asynchronous
async def test_nothing_is_handed_out_of_a_signer_that(apiserver, answer):
    system, shop = apiserver.namespace("system-"), Shop(apiserver)
    async with signing(apiserver) as authority:
        authority.answer = answer(authority)
        signer = Signer("example.com/mesh", roots=(pem(authority.root),))
        async with plane(apiserver, system, signer=signer) as served:
            roots = await asyncio.to_thread(served.roots, shop.name)
            with pytest.raises(grpc.aio.AioRpcError, match="CERT_GEN_ERROR") as refused:
                await certificate(served, shop, roots)
            assert refused.value.code() is grpc.StatusCode.INTERNAL
            assert not left(apiserver)


def csr(*names, subject=(), extension=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if extension:
        builder = builder.add_extension(extension, critical=False)
    key = PrivateKey.new(KeyType.P256)
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(key.signing, signature_hash(key.public)).public_bytes(Encoding.PEM)


URI = x509.UniformResourceIdentifier
BAD_REQUESTS = [
    pytest.param(csr(), "names nobody", id="nobody"),
    pytest.param(csr(URI("spiffe://cluster.local/ns/shop/sa/admin")), "names .*admin", id="somebody else"),
    pytest.param(csr(URI(WEB), URI(WEB)), "other names than one URI", id="two URIs"),
    pytest.param(csr(x509.DNSName("web.shop")), "other names than one URI", id="a host"),
    pytest.param(csr(URI(WEB), x509.RFC822Name("a@b.c")), "other names than one URI", id="an address of mail"),
    pytest.param(
        csr(URI(WEB), subject=[x509.NameAttribute(NameOID.COMMON_NAME, "web")]), "has a subject", id="a subject"
    ),
    pytest.param(
        csr(URI(WEB), extension=x509.BasicConstraints(ca=True, path_length=None)), "extension", id="an authority"
    ),
]


@pytest.mark.parametrize(("request_", "reason"), BAD_REQUESTS)
def test_a_request_is_refused_that_names(request_, reason):
    with pytest.raises(CsrError, match=reason):
        check(request_, [WEB])


@pytest.mark.parametrize(
    "request_", [csr(URI(WEB)), csr(URI(WEB), subject=[x509.NameAttribute(NameOID.ORGANIZATION_NAME, "")])]
)
def test_a_request_is_taken_that_says_no_more_than_who_its_sender_is(request_):
    check(request_, [WEB])


WRONG = [
    pytest.param({"EXTERNAL_CA": "VAULT"}, "'VAULT' is not known", id="a kind that nobody knows"),
    pytest.param({"EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API"}, "has to say who signs", id="no name"),
]


@pytest.mark.parametrize(("environment", "reason"), WRONG)
def test_a_signer_is_refused_of(environment, reason):
    with pytest.raises(Wrong, match=reason):
        signer_of(environment)


def test_a_signer_is_named_by_the_environment_and_brings_its_root_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {"EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API", "K8S_SIGNER": "example.com/mesh"}
    assert signer_of({}) is None
    assert signer_of(environment) == Signer("example.com/mesh")
    root = pem(root_certificate(PrivateKey.new(KeyType.P256), "theirs", datetime.now(UTC), DAY))
    file = tmp_path / "etc/external-ca-cert/root-cert.pem"
    file.parent.mkdir(parents=True)
    file.write_bytes(root)
    assert signer_of(environment).roots == (root,)
    file.write_bytes(b"hello")
    with pytest.raises(Wrong, match="root-cert"):
        signer_of(environment)
