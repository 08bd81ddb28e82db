"""A control plane with keys, that follows a folder, and clients who prove to it who they are."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pilotpy.authority.keeping import Keys
from pilotpy.follow import following
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.xds.server import Server
from pilotpy_ca.keys import KeyType
from pilotpy_ca.terms import Terms
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.xds.client import OPTIONS, Client, node_id

NAME = "istiod.istio-system.svc"
CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
SETTINGS = Settings(
    http_address="",
    monitoring_address="",
    grpc_address="127.0.0.1:0",
    secure_grpc_address="127.0.0.1:0",
    debounce_after=timedelta(milliseconds=10),
    endpoint_window=timedelta(milliseconds=10),
    streams_per_second=0,
    shutdown=timedelta(0),
)
TERMS = Terms(key_type=KeyType.P256, settle=timedelta(seconds=1))


def service_account(name: str, namespace: str = "shop") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec: {{serviceAccountName: {name}, containers: [{{name: app, image: app}}]}}
---
"""


SHOP = service_account("web") + service_account("gateway") + service_account("admin", "istio-system")


@dataclass
class Plane:
    """One that runs."""

    server: Server
    folder: Path
    keys: Keys

    @property
    def roots(self) -> bytes:
        return (self.keys.projected / "root-cert.pem").read_bytes()

    def token(self, pod: str, namespace: str = "shop") -> str:
        return (self.keys.projected / namespace / pod / "istio-token").read_text()

    def channel(self, identity: Workload | None = None, roots: bytes | None = None) -> grpc.aio.Channel:
        shown = (identity.key_pem, identity.chain) if identity else ()
        credentials = grpc.ssl_channel_credentials(roots or self.roots, *shown)
        options = [*OPTIONS, ("grpc.ssl_target_name_override", NAME)]
        return grpc.aio.secure_channel(self.server.secure_address, credentials, options)

    def proxy(
        self,
        pod: str = "web",
        namespace: str = "shop",
        *,
        token: str | None = None,
        identity: Workload | None = None,
        incremental: bool = True,
        **metadata: str,
    ) -> Client:
        """A client at port 15012; unless told otherwise it shows the token of its own Pod."""
        if token is None and identity is None:
            token = self.token(pod, namespace)
        return Client(
            "",
            node_id(pod, namespace),
            {"NAMESPACE": namespace, **metadata},
            incremental=incremental,
            channel=self.channel(identity),
            headers=bearer(token) if token is not None else (),
        )

    async def certificate(self, workload: Workload, token: str = "", **asked: object) -> list[str]:
        """What CreateCertificate answers. Raises `grpc.aio.AioRpcError`."""
        async with self.channel() as channel:
            call = channel.unary_unary(
                CREATE,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            request = IstioCertificateRequest(csr=workload.csr(), **asked)
            answer = await call(request, metadata=bearer(token) if token else (), timeout=10)
        return list(answer.cert_chain)

    async def identity(self, pod: str = "web", namespace: str = "shop") -> Workload:
        """A workload that holds a certificate."""
        workload = Workload()
        chain = await self.certificate(workload, self.token(pod, namespace))
        workload.chain = "".join(chain[:-1]).encode()
        return workload


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Workload:
    """A key, and what it was given for it."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    chain: bytes = b""

    def csr(self, names: Iterable[str] = ()) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        if names := [x509.UniformResourceIdentifier(name) for name in names]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def names(chain: Iterable[str]) -> list[str]:
    certificate = x509.load_pem_x509_certificate(next(iter(chain)).encode())
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [name.value for name in sans]


def shown_to(address: str, roots: bytes) -> x509.Certificate:
    """The certificate that a server shows; its chain and name have been verified."""
    import socket

    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cadata=roots.decode())
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))


@asynccontextmanager
async def plane(
    folder: Path, text: str = SHOP, settings: Settings = SETTINGS, terms: Terms = TERMS
) -> AsyncIterator[Plane]:
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    (objects / "mesh.yaml").write_text(text)
    keys = Keys(folder / "keys", terms, projected=folder / "tokens")
    async with following(Folder([objects]), settings, keys) as server:
        yield Plane(server, objects, keys)
