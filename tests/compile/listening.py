"""What a workload listens on, written down in a line per filter chain."""

from __future__ import annotations

from typing import Any

from pilotpy.compile.listeners import listeners
from pilotpy.mesh.view import View
from pilotpy_protos.descriptors import message_in
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from pilotpy_protos.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from tests.mesh.world import World


def service(name: str, *ports: str, address: str = "10.96.0.1", namespace: str = "default") -> str:
    """A Service that selects Pods labelled app=name; ports are written "name:number" or "name:number:target"."""
    split = [port.split(":") for port in ports]
    written = ", ".join(f"{{name: {p[0]}, port: {p[1]}, targetPort: {p[-1]}}}" for p in split)
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {address}, selector: {{app: {name}}}, ports: [{written}]}}
"""


def slices(name: str, port: str, *addresses: str, namespace: str = "default") -> str:
    """An EndpointSlice of a Service; the port is written "name:number"."""
    port_name, number = port.split(":")
    written = ", ".join(f"{{addresses: [{address}]}}" for address in addresses)
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{written}]
ports: [{{name: {port_name}, port: {number}}}]
"""


def entry(name: str, hosts: str, port: str, addresses: str = "", *, resolution: str = "DNS", created: int = 1) -> str:
    """A ServiceEntry; the port is written "number PROTOCOL"."""
    number, protocol = port.split()
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default, creationTimestamp: "2024-01-01T00:00:0{created}Z"}}
spec:
  hosts: [{hosts}]
  addresses: [{addresses}]
  ports: [{{number: {number}, name: p, protocol: {protocol}}}]
  resolution: {resolution}
"""


def listened(world: World, pod: str = "client.default", **metadata: Any) -> dict[str, Listener]:
    """All listeners of a Pod's proxy by name, in order."""
    return listened_by(world, world.view(pod, **metadata))


def listened_by(world: World, view: View) -> dict[str, Listener]:
    tree = world.engine.ask(listeners, view.scope, view.inbound, view.features, view.listening)
    found = [Listener.FromString(bytes(one)) for one in tree]
    assert len({one.name for one in found}) == len(found), "Envoy refuses two listeners of a name"
    return {one.name: one for one in found}


def chains(listener: Listener) -> list[str]:
    """A line per filter chain: what it takes, then where that goes."""
    lines = [f"{_taken(chain.filter_chain_match)} -> {_way(chain)}" for chain in listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        lines.append(f"otherwise -> {_way(listener.default_filter_chain)}")
    return lines


def inspectors(listener: Listener) -> list[str]:
    """The names of the listener filters, without what they share."""
    return [each.name.removeprefix("envoy.filters.listener.") for each in listener.listener_filters]


def manager(chain: FilterChain) -> HttpConnectionManager:
    """The manager of HTTP at the end of a chain."""
    found = message_in(chain.filters[-1].typed_config)
    assert isinstance(found, HttpConnectionManager)
    return found


def proxy(chain: FilterChain) -> TcpProxy:
    """The TCP proxy at the end of a chain."""
    found = message_in(chain.filters[-1].typed_config)
    assert isinstance(found, TcpProxy)
    return found


def _taken(match: FilterChainMatch) -> str:
    words = [f"port {match.destination_port.value}"] if match.HasField("destination_port") else []
    words += [f"{one.address_prefix}/{one.prefix_len.value}" for one in match.prefix_ranges]
    words += [f"sni {name}" for name in match.server_names]
    words += [match.transport_protocol] if match.transport_protocol else []
    words += ["|".join(match.application_protocols)] if match.application_protocols else []
    return " ".join(words) or "all"


def _way(chain: FilterChain) -> str:
    found = message_in(chain.filters[-1].typed_config)
    if isinstance(found, TcpProxy):
        weighed = found.weighted_clusters.clusters
        return ", ".join(f"{one.weight} {one.name}" for one in weighed) if weighed else f"tcp {found.cluster}"
    assert isinstance(found, HttpConnectionManager)
    return f"routes {found.rds.route_config_name or found.route_config.name}"
