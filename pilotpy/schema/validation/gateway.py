"""Gateway: servers that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateGateway.
"""

from __future__ import annotations

from pilotpy.model.gateway import Gateway, Port, Server
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names
from pilotpy.schema.validation.tls import server_tls


def gateway(resource: Resource[Gateway]) -> Problems:
    """What is wrong with a Gateway."""
    if not names.is_label(resource.meta.name):
        yield Problem("metadata.name", f"{resource.meta.name!r} is not a name for a Gateway: it may have no dots")
    servers = resource.spec.servers
    if not servers:
        yield Problem("spec.servers", "A Gateway needs servers")
    seen: set[str] = set()
    for i, server in enumerate(servers):
        at = below("spec.servers", i)
        yield from _server(server, at)
        if server.port is None:
            continue
        if server.port.name in seen:
            yield Problem(f"{at}.port.name", f"There are two ports {server.port.name!r}")
        seen.add(server.port.name)
        plain = server.port.protocol.lower() not in names.HTTP_PROTOCOLS
        if plain and server.tls and server.tls.https_redirect:
            yield warning(f"{at}.tls.httpsRedirect", "Only servers of HTTP can redirect to HTTPS")


def _server(server: Server, at: str) -> Problems:
    if not server.hosts:
        yield Problem(f"{at}.hosts", "A server needs hosts")
    for i, host in enumerate(server.hosts):
        yield from names.namespaced_host(host, below(f"{at}.hosts", i), gateway=True)
    if server.bind.startswith(names.UNIX):
        yield from names.unix_path(server.bind.removeprefix(names.UNIX), f"{at}.bind")
        if server.port and server.port.number:
            yield Problem(f"{at}.port.number", "A socket has no port number")
    elif server.bind:
        yield from names.address(server.bind, f"{at}.bind")
    yield from server_tls(server.tls, f"{at}.tls")
    if server.port is None:
        yield Problem(f"{at}.port", "The port is missing")
        return
    wrong = list(_port(server.port, f"{at}.port", unix=server.bind.startswith(names.UNIX)))
    yield from wrong
    if not wrong:
        yield from _protocol(server, server.port.protocol.lower(), at)


def _port(port: Port, at: str, *, unix: bool) -> Problems:
    if port.protocol.lower() not in names.PROTOCOLS:
        yield Problem(f"{at}.protocol", f"{port.protocol!r} is not a protocol such as HTTP, HTTPS or TCP")
    if port.number or not unix:
        yield from names.port(port.number, f"{at}.number")
    if port.target_port:
        yield Problem(f"{at}.targetPort", "A Gateway's ports have no targetPort")
    if not port.name:
        yield Problem(f"{at}.name", "The port's name is missing")


def _protocol(server: Server, protocol: str, at: str) -> Problems:
    tls = server.tls
    if protocol in names.TLS_PROTOCOLS:
        if tls is None:
            yield Problem(f"{at}.tls", f"Protocol {protocol.upper()} needs tls")
    elif tls is not None:
        certificates = tls.ca_certificates or tls.private_key or tls.server_certificate
        redirect_only = tls.mode in {"PASSTHROUGH", "AUTO_PASSTHROUGH"} and not certificates
        if protocol not in names.HTTP_PROTOCOLS or not redirect_only:
            yield Problem(f"{at}.tls", f"Protocol {protocol.upper()} has no TLS; HTTPS and TLS have")
