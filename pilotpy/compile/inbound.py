"""From the ports of a workload to the listeners for traffic to it.

Captured traffic comes to one listener, with filter chains by port. Ports of a Sidecar that are not captured get
listeners of their own. Source: istiod's core/listener_inbound.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from pilotpy.compile.access_log import listener_logs
from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.compile.features.tls_termination import termination
from pilotpy.compile.guard import OPEN, guard
from pilotpy.compile.inbound_chains import ANY_PORT, InboundPort, Termination, inbound_chains, loop_guard
from pilotpy.compile.listener_filters import inbound_listener_filters
from pilotpy.compile.listener_settings import Terms, settings, terms
from pilotpy.compile.opaque_ports import told_of_opaque_port
from pilotpy.compile.outbound import UNCAPTURED, Slot
from pilotpy.compile.outbound_chains import listener_name
from pilotpy.compile.pieces import address, flag
from pilotpy.compile.stat_name import stat_name
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.identities import trust_domains
from pilotpy.mesh.kinds import SIDECARS
from pilotpy.mesh.protocol import named_protocol
from pilotpy.mesh.service import Protocol
from pilotpy.mesh.services import service
from pilotpy.mesh.view import Features, Inbound, KeyFiles, Listening, Modes, Target
from pilotpy.model.resource import Ref
from pilotpy.model.sidecar import IstioIngressListener
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener


@query
def inbound_listeners(q: Asking, inbound: Inbound, features: Features, listening: Listening) -> Tree:
    """The listener for captured traffic, then those of ports that are not captured, by port."""
    common = terms(q, features, listening)._replace(guard=q(guard, inbound.policies) if inbound.policies else OPEN)
    ports = q(inbound_ports, inbound, listening)
    for policy, port in product(inbound.policies, ports):
        if _is_opaque(port):
            q(told_of_opaque_port, policy, port.target)
    ends = Termination(*(TransportSocket.FromString(one) for one in q(terminations, features.server_files)))
    bound = Tree(_bound(port, inbound.modes, ends, common) for port in ports if port.bind)
    if listening.mode == UNCAPTURED:
        return bound
    captured = [port for port in ports if not port.bind]
    named = {port.target for port in captured}
    passed_on = [ANY_PORT._replace(target=port) for port, _ in inbound.modes.ports if port not in named]
    return Tree([_virtual_inbound([ANY_PORT, *passed_on, *captured], inbound.modes, ends, common), bound])


@query
def terminations(q: Asking, files: KeyFiles | None) -> tuple[bytes, bytes]:
    """How workloads of the mesh end mutual TLS, on chains of HTTP and on those of TCP: two transport sockets."""
    limits, accepted = q(mesh_config).mesh_mtls, q(trust_domains)
    http, tcp = (termination(accepted, limits, files, http=http) for http in (True, False))
    return serialised(http), serialised(tcp)


@query
def inbound_ports(q: Asking, inbound: Inbound, listening: Listening) -> tuple[InboundPort, ...]:
    """The workload's ports that are known by name, each once, sorted by number; a Sidecar's replace the services'."""
    if inbound.sidecar is not None:
        declared = _declared(q, inbound, listening, inbound.sidecar)
        if declared is not None:
            return declared
    if listening.mode == UNCAPTURED:
        return ()
    served = (_served(q, target) for target in inbound.targets if target.target not in listening.reserved)
    return tuple(port for port in served if port is not None)


def _served(q: Asking, target: Target) -> InboundPort | None:
    found = q(service, target.service)
    if found is None:
        return None
    port = next((port for port in found.ports if port.number == target.port), None)
    if port is None:
        return None
    pattern = q(settings, "").inbound_stat_name
    prefix = stat_name(pattern, found, port, target_port=target.target) if pattern else ""
    return InboundPort(target.target, target.port, port.protocol, target.service.host, stat_prefix=prefix)


def _declared(q: Asking, inbound: Inbound, listening: Listening, ref: Ref) -> tuple[InboundPort, ...] | None:
    """The ports of a Sidecar's ingress; None if it has none, so that the services' hold."""
    sidecar = q.get(SIDECARS, ref.namespace, ref.name)
    if sidecar is None or not sidecar.spec.ingress:
        return None
    ports: dict[int, InboundPort] = {}
    for ingress in sidecar.spec.ingress:
        port = _ingress_port(ingress, inbound, listening, ref)
        if port is not None and port.target not in listening.reserved:
            ports.setdefault(port.target, port)
    return tuple(ports[number] for number in sorted(ports))


def _ingress_port(
    ingress: IstioIngressListener, inbound: Inbound, listening: Listening, ref: Ref
) -> InboundPort | None:
    if ingress.port is None:
        return None
    target = ingress.port.number
    # A service that has the port gives it its name; otherwise the Sidecar stands for one.
    served = next((one for one in inbound.targets if one.target == target), None)
    host = served.service.host if served is not None else f"{ref.name}.{ref.namespace}"
    bound = listening.mode == UNCAPTURED or ingress.capture_mode == "NONE"
    return InboundPort(
        target=target,
        number=served.port if served is not None else target,
        protocol=named_protocol(ingress.port.protocol),
        host=host,
        bind=(ingress.bind or inbound.address) if bound else "",
        sidecar=ref,
    )


def _is_opaque(port: InboundPort) -> bool:
    return not port.protocol.is_http and port.protocol is not Protocol.AUTO


def _virtual_inbound(ports: Iterable[InboundPort], modes: Modes, ends: Termination, common: Terms) -> Encoded:
    chains = [loop_guard(common)]
    for port in ports:
        chains += inbound_chains(port, modes.on(port.target), ends, common)
    at = Slot(common.wildcard, common.settings.inbound_port)
    listener = _frame("virtualInbound", at, chains, common, captured=True)
    listener.max_connections_to_accept_per_socket_event.value = 1
    if common.listening.exact_balance[0]:
        listener.connection_balance_config.exact_balance.SetInParent()
    return Encoded(listener.name, serialised(listener))


def _bound(port: InboundPort, modes: Modes, ends: Termination, common: Terms) -> Encoded:
    chains = inbound_chains(port, modes.on(port.target), ends, common)
    at = Slot(port.bind, port.target)
    listener = _frame(listener_name(at), at, chains, common, captured=False)
    return Encoded(listener.name, serialised(listener))


def _frame(name: str, at: Slot, chains: list[FilterChain], common: Terms, *, captured: bool) -> Listener:
    transparent = captured and common.listening.mode == "TPROXY"
    as_client = transparent or common.listening.client_address
    return Listener(
        name=name,
        address=address(at.address, at.port),
        traffic_direction=TrafficDirection.INBOUND,
        access_log=listener_logs(common.settings.logging, istio=common.istio),
        listener_filters=inbound_listener_filters(chains, captured=captured, as_client=captured and as_client),
        listener_filters_timeout=common.settings.detection_timeout,
        continue_on_listener_filters_timeout=True,
        filter_chains=chains,
        transparent=flag(True) if transparent else None,
    )
