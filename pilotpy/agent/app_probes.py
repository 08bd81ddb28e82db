"""Health checks of an application, made in the kubelet's stead, which knows no certificate that the sidecar would take.

The table is what the injector took out of the Pod and put into ``ISTIO_KUBE_APP_PROBERS``.

Source  istio/istio ``pilot/cmd/pilot-agent/status/server.go``; Kubernetes ``pkg/probe/http`` (redirections).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import grpc
import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pilotpy.agent.http_client import Answer, Question, asked
from pilotpy.agent.network import PodNetwork

_LARGEST: Final = 1 << 20
_REDIRECTIONS: Final = 10
_OWN: Final = {4: "127.0.0.6", 6: "::6"}  # what comes from here is not captured


class Header(msgspec.Struct, frozen=True):
    """As in a Pod's manifest."""

    name: str
    value: str = ""


class HttpGet(msgspec.Struct, frozen=True, rename="camel"):
    """A request that must be answered with success."""

    port: int | str
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[Header, ...] = ()


class TcpSocket(msgspec.Struct, frozen=True):
    """A port that must take connections."""

    port: int | str
    host: str = ""


class Grpc(msgspec.Struct, frozen=True):
    """A gRPC health service that must say SERVING."""

    port: int
    service: str = ""


class Probe(msgspec.Struct, frozen=True, rename="camel"):
    """One check: one of the three."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    exec: Mapping[str, Any] | None = None  # a command; not run here, see ``complaint``
    timeout_seconds: int = 1


def probes(text: str) -> Mapping[str, Probe]:
    """The table in JSON: checks by path. Raises ValueError with a sentence; empty for empty text."""
    if not text:
        return {}
    try:
        table = msgspec.json.decode(text, type=dict[str, Probe])
    except msgspec.MsgspecError as wrong:
        raise ValueError(f"ISTIO_KUBE_APP_PROBERS: {wrong}") from wrong
    for path, probe in table.items():
        if reason := complaint(probe):
            raise ValueError(f"ISTIO_KUBE_APP_PROBERS: {path}: {reason}")
    return table


def complaint(probe: Probe) -> str:
    """Why a check cannot be made; empty if it can."""
    kinds = [kind for kind in (probe.http_get, probe.tcp_socket, probe.grpc) if kind is not None]
    if probe.exec is not None:
        return "exec is not supported, only httpGet, tcpSocket and grpc are"
    if len(kinds) != 1:
        return "one of httpGet, tcpSocket and grpc is wanted"
    return "" if str(kinds[0].port).isdigit() else f"port {kinds[0].port!r} is not a number"


async def probed(probe: Probe, address: str, network: PodNetwork) -> Answer:
    """How the application at a pod's address took a check. Raises OSError where it did not answer in time."""
    source = _OWN[6 if ":" in address else 4]
    async with asyncio.timeout(max(probe.timeout_seconds, 1)):
        if probe.http_get is not None:
            return await _http(probe.http_get, address, source, network)
        if probe.tcp_socket is not None:
            (await network.connected(address, int(probe.tcp_socket.port), source=source)).close()
            return Answer(200, (), b"")
        if probe.grpc is not None:
            return await _grpc(probe.grpc, address)
    raise OSError("a check of none of the three kinds")


async def _http(get: HttpGet, address: str, source: str, network: PodNetwork) -> Answer:
    headers = tuple((header.name, header.value) for header in get.http_headers)
    tls = _any_certificate() if get.scheme.upper() == "HTTPS" else None
    question = Question(address, int(get.port), "/" + get.path.lstrip("/"), headers=headers, tls=tls, source=source)
    answer = await asked(question, network, at_most=_LARGEST)
    for _ in range(_REDIRECTIONS):
        to = urlsplit(urljoin(f"//{address}:{get.port}{question.path}", answer.header("location")))
        # Elsewhere than to the application itself is taken for a yes, and not followed.
        if not 300 <= answer.status < 400 or to.hostname != address or (to.port or question.port) != question.port:
            break
        question = question._replace(path=f"{to.path or '/'}{f'?{to.query}' if to.query else ''}")
        answer = await asked(question, network, at_most=_LARGEST)
    return answer


async def _grpc(check: Grpc, address: str) -> Answer:
    host = f"[{address}]" if ":" in address else address
    async with grpc.aio.insecure_channel(f"{host}:{check.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            said = await stub.Check(health_pb2.HealthCheckRequest(service=check.service))
        except grpc.aio.AioRpcError as failed:
            raise OSError(f"{failed.code().name}: {failed.details()}") from failed
    return Answer(200 if said.status == health_pb2.HealthCheckResponse.SERVING else 500, (), b"")


def _any_certificate() -> ssl.SSLContext:
    """As the kubelet checks: an application's own certificate proves nothing to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
