"""A control plane as agents see one: TLS, an authority that checks tokens, ADS whose messages a test decides."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse

WEB = "spiffe://cluster.local/ns/default/sa/web"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"


def asynchronous(test):
    """Run a coroutine as a test."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 45))

    return run


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


class Issuer:
    """A root and what it signs."""

    def __init__(self, name: str = "root") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self.root = (
            x509.CertificateBuilder(self.name, self.name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=2))
            .not_valid_after(now + timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )

    def leaf(self, public_key, *names, life=timedelta(hours=1)) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, x509.Name([]), public_key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(minutes=2)).not_valid_after(now + life)
        usages = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.add_extension(usages, critical=False).sign(self.key, SHA256())

    def revocation(self, *revoked: int) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self.name).last_update(now - timedelta(minutes=1))
        builder = builder.next_update(now + timedelta(days=1))
        for serial in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(minutes=1))
            builder = builder.add_revoked_certificate(one.build())
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


class Stream:
    """One ADS stream from its far end."""

    def __init__(self, context, *, incremental: bool) -> None:
        self.incremental = incremental
        self.metadata = dict(context.invocation_metadata())
        self._context = context
        self.over = asyncio.Event()

    async def read(self, type_):
        message = await self._context.read()
        return type_.FromString(message) if isinstance(message, bytes) else None

    async def write(self, message) -> None:
        with suppress(grpc.aio.InternalError, grpc.aio.UsageError):  # the client is gone; reading tells
            await self._context.write(message.SerializeToString())


class Plane:
    """Signs for whoever has the token of the day."""

    def __init__(self, folder: Path) -> None:
        self.issuer = Issuer()
        self.roots = ""  # what is named as roots instead of the issuer's
        self.life = timedelta(hours=1)
        self.token = "token-of-the-day"
        self.identity = WEB
        self.signed: list[x509.Certificate] = []
        self.streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.port = 0
        self.root_file, self.token_file = folder / "root-cert.pem", folder / "token"
        self.root_file.write_text(pem(self.issuer.root))
        self.token_file.write_text(self.token + "\n")
        self._key = ec.generate_private_key(ec.SECP256R1())
        host = ipaddress.ip_address("127.0.0.1")
        self._own = self.issuer.leaf(
            self._key.public_key(), x509.DNSName("istiod.istio-system.svc"), x509.IPAddress(host)
        )
        self._server = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        secret = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        credentials = grpc.ssl_server_credentials([(secret, (pem(self._own) + pem(self.issuer.root)).encode())])
        sign = grpc.unary_unary_rpc_method_handler(
            self._sign, IstioCertificateRequest.FromString, IstioCertificateResponse.SerializeToString
        )
        ads = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(functools.partial(self._ads, False)),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(functools.partial(self._ads, True)),
        }
        server = self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        name = "istio.v1.auth.IstioCertificateService"
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(name, {"CreateCertificate": sign}),
                grpc.method_handlers_generic_handler(ADS, ads),
            )
        )
        self.port = server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    async def stream(self) -> Stream:
        async with asyncio.timeout(10):
            return await self.streams.get()

    def _known(self, context) -> bool:
        return dict(context.invocation_metadata()).get("authorization") == f"Bearer {self.token}"

    async def _sign(self, request, context):
        if not self._known(context):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")
        asked = x509.load_pem_x509_csr(request.csr.encode())
        assert asked.is_signature_valid
        name = x509.UniformResourceIdentifier(self.identity)
        leaf = self.issuer.leaf(asked.public_key(), name, life=self.life)
        self.signed.append(leaf)
        return IstioCertificateResponse(cert_chain=[pem(leaf), self.roots or pem(self.issuer.root)])

    async def _ads(self, incremental, _requests, context) -> None:
        if not self._known(context):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        stream = Stream(context, incremental=incremental)
        await self.streams.put(stream)
        await stream.over.wait()


@asynccontextmanager
async def running(folder: Path):
    plane = Plane(folder)
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()
