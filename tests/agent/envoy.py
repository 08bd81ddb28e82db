"""A real Envoy beside an agent, and the configuration that it is sent in tests."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import UniformResourceIdentifier
from google.protobuf.json_format import ParseDict

from pilotpy.agent.bootstrap import Address, Start, bootstrap_text
from pilotpy.agent.node import Node
from pilotpy_protos import descriptors  # noqa: F401 - the types inside Any
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401 - likewise
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,  # noqa: F401 - likewise
)
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401 - likewise
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from tests.agent.plane import pem

ENVOY = Path(sys.executable).with_name("envoy")
TYPES = "type.googleapis.com/envoy."
LISTENERS = TYPES + "config.listener.v3.Listener"
CLUSTERS = TYPES + "config.cluster.v3.Cluster"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def secret_of(name: str) -> dict:
    service = {"envoy_grpc": {"cluster_name": "sds-grpc"}}
    source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": source}}


def inbound(port: int) -> Listener:
    """Answers "hello" over mTLS."""
    manager = {
        "@type": TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": "hello"}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": TYPES + "extensions.filters.http.router.v3.Router"}}
        ],
    }
    context = {
        "@type": TYPES + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [secret_of("default")],
            "validation_context_sds_secret_config": secret_of("ROOTCA"),
        },
    }
    chain = {
        "filters": [{"name": "http", "typed_config": manager}],
        "transport_socket": {"name": "tls", "typed_config": context},
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return ParseDict({"name": "virtualInbound", "address": address, "filter_chains": [chain]}, Listener())


@asynccontextmanager
async def envoy(settings, folder: Path, *, delta: bool, admin_port: int, drain: int = 1, **more):
    start = Start(
        node=Node("sidecar~127.0.0.1~web-1.default~default.svc.cluster.local", "web.default", {"NAMESPACE": "default"}),
        discovery=Address(str(settings.xds_socket)),
        secrets=Address(str(settings.sds_socket)),
        delta=delta,
        admin_port=admin_port,
        ready_port=free_port(),
        metrics_port=free_port(),
        statistics=("listener.", "http."),
        **more,
    )
    file = folder / "bootstrap.json"
    file.write_text(bootstrap_text(start))
    process = await asyncio.create_subprocess_exec(
        ENVOY, "-c", file, "--concurrency", "1", "-l", "warning", "--use-dynamic-base-id",
        "--drain-time-s", str(drain), "--drain-strategy", "immediate",
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def serve(stream, listener: Listener) -> list:
    """Answer an Envoy's questions: one listener, no clusters. Gives all requests at the end."""
    seen = []
    request_type = DeltaDiscoveryRequest if stream.incremental else DiscoveryRequest
    while (request := await stream.read(request_type)) is not None:
        seen.append(request)
        if request.response_nonce or request.type_url not in {LISTENERS, CLUSTERS}:
            continue
        await stream.write(response(stream, request.type_url, listener))
    return seen


def response(stream, url: str, listener: Listener, nonce: str = "n1"):
    if stream.incremental:
        answer = DeltaDiscoveryResponse(type_url=url, nonce=nonce)
        if url == LISTENERS:
            answer.resources.add(name=listener.name, version="1").resource.Pack(listener)
    else:
        answer = DiscoveryResponse(type_url=url, nonce=nonce, version_info="1")
        if url == LISTENERS:
            answer.resources.add().Pack(listener)
    return answer


class Peer:
    """A client with a certificate of its own."""

    def __init__(self, issuer, folder: Path, name: str, port: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = issuer.leaf(key.public_key(), UniformResourceIdentifier(name))
        file = folder / f"{self.certificate.serial_number}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        file.write_text(secret + pem(self.certificate))
        self._context = ssl.create_default_context(cadata=pem(issuer.root))
        self._context.check_hostname = False
        self._context.load_cert_chain(file)
        self._port = port

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)

    async def ask(self, connection) -> int:
        """The status of one more request on a connection. Raises OSError or IncompleteReadError."""
        reader, writer = connection
        writer.write(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(5)
        return int(head.split()[1])

    async def load(self, outcomes: list[str]) -> None:
        """Ask without a pause, for ever, on a connection that is kept as long as the server lets it."""
        while True:
            try:
                reader, writer = await self.connect()
            except OSError as failed:
                outcomes.append(repr(failed))
                continue
            try:
                head = ""
                while "connection: close" not in head:
                    writer.write(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                    await reader.readexactly(5)
                    outcomes.append(head.split()[1])
            except (OSError, asyncio.IncompleteReadError) as failed:
                outcomes.append(repr(failed))
            finally:
                writer.close()

    async def serial(self) -> int:
        """Of the certificate that a fresh connection is shown. Raises OSError."""
        _, writer = await self.connect()
        from cryptography.x509 import load_der_x509_certificate

        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return load_der_x509_certificate(shown).serial_number

    async def is_served(self) -> bool:
        try:
            connection = await self.connect()
        except OSError:
            return False
        try:
            return await self.ask(connection) == 200
        except (OSError, asyncio.IncompleteReadError):
            return False
        finally:
            connection[1].close()


def with_ports(made, admin_port: int):
    return msgspec.structs.replace(made, admin_port=admin_port)


def seen(requests: list) -> list[str]:
    return [json.dumps([each.type_url.rpartition(".")[2], each.response_nonce]) for each in requests]
