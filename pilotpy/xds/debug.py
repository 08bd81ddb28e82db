"""The HTTP side of a control plane: readiness, metrics, and the pages of `inspection`.

Two applications on istiod's two ports, sharing `/debug/*`. Whoever asks from this machine sees all, as people do who
reach it through a port-forward; others show a bearer token, and see what `Inspection.asker` says.
Source: pilot/pkg/xds/debug.go (`AllowAuthenticatedOrLocalhost`), pilot/cmd/pilot-discovery for what is where.
"""

from __future__ import annotations

from importlib.metadata import version
from ipaddress import ip_address
from typing import Final

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from pilotpy.ops.instruments import Instruments
from pilotpy.xds.edge import Edge
from pilotpy.xds.identity import identities_of
from pilotpy.xds.inspection import EVERYTHING, Asker, Inspection
from pilotpy.xds.transport import Refusal
from pilotpy_ca.authenticators import Credentials, Peer
from pilotpy_ca.jwt import MAX_TOKEN

_SCHEMES: Final = ("Bearer ", "Istio ")


def applications(edge: Edge, instruments: Instruments, inspection: Inspection) -> tuple[Starlette, Starlette]:
    """The applications for the HTTP port (8080) and the monitoring port (15014).

    As long as nobody vouches for the edge's callers, only this machine sees what is behind `/debug/`.
    """
    links = "".join(f'<li><a href="/debug/{name}">{name}</a></li>' for name in inspection.names)

    async def index(_: Request) -> Response:
        return HTMLResponse(f"<!doctype html><title>pilotpy</title><ul>{links}</ul>")

    async def page(request: Request) -> Response:
        asker = await _asker(request, inspection, edge)
        if asker is None:
            return Response(status_code=401)
        found = await inspection.page(request.path_params["name"], request.query_params, asker)
        return Response(found.body, found.status, media_type=found.media)

    async def ready(_: Request) -> Response:
        return Response(status_code=200 if edge.ready else 503)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(instruments.metrics.registry), headers={"content-type": content_type})

    debug = [Route("/debug", index), Route("/debug/{name}", page)]
    http = Starlette(routes=[Route("/ready", ready), *debug])
    monitoring = Starlette(routes=[Route("/metrics", metrics), Route("/version", _version), *debug])
    return http, monitoring


async def _asker(request: Request, inspection: Inspection, edge: Edge) -> Asker | None:
    """Who asks; None: nobody knows."""
    if request.client is None:
        return None
    try:
        if _is_this_machine(request.client.host):
            return EVERYTHING
    except ValueError:
        return None
    if edge.vouching is None:
        return None
    written = request.headers.getlist("authorization")
    scheme = next((scheme for scheme in _SCHEMES if len(written) == 1 and written[0].startswith(scheme)), None)
    if scheme is None or len(written[0]) > MAX_TOKEN:
        return None
    peer = Peer(f"{request.client.host}:{request.client.port}")
    try:
        caller = await edge.vouching.caller(Credentials(peer, written[0].removeprefix(scheme).strip()))
    except Refusal:
        return None
    return inspection.asker(*identities_of(caller))


def _is_this_machine(host: str) -> bool:
    address = ip_address(host)
    # A socket for both families sees callers over IPv4 as ::ffff:127.0.0.1.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


async def _version(_: Request) -> Response:
    return PlainTextResponse(version("pilotpy"))
