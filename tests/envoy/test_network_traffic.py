"""Requests between two networks of real Envoys, that have no way to each other but a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from tests.envoy.identities import Authority, agent
from tests.envoy.test_mutual_tls_traffic import (
    CLIENT,
    MESH,
    SERVER,
    Mesh,
    application,
    client_bootstrap,
    envoy,
    server_bootstrap,
)
from tests.envoy.test_traffic_to_listeners import connected, free_port
from tests.mesh.world import World, peer_authentication, resources

pytestmark = pytest.mark.envoy

# Nobody answers at the server's address: its network has another by that name.
OUT_OF_REACH = "127.9.9.9"
GATEWAY = """
apiVersion: v1
kind: Service
metadata:
  name: eastwest
  namespace: istio-system
  labels: {{topology.istio.io/network: far, networking.istio.io/gatewayPort: "{port}"}}
spec: {{type: LoadBalancer, clusterIP: 10.96.0.99, ports: [{{name: tls, port: {port}}}]}}
status: {{loadBalancer: {{ingress: [{{ip: 127.0.0.1}}]}}}}
"""


def passing_on(port: int, server: int) -> Bootstrap:
    """A gateway: it passes on by server name, which is that of one of its clusters, and knows no key."""
    bootstrap = Bootstrap()
    listener = bootstrap.static_resources.listeners.add(name="passthrough")
    listener.address.socket_address.address, listener.address.socket_address.port_value = "127.0.0.1", port
    names = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    listener.listener_filters.add(name="tls").typed_config.type_url = f"type.googleapis.com/{names}"
    chain = listener.filter_chains.add()
    by_name = "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"
    chain.filters.add(name="envoy.filters.network.sni_cluster").typed_config.type_url = f"type.googleapis.com/{by_name}"
    chain.filters.add(name="tcp").typed_config.CopyFrom(packed(TcpProxy(stat_prefix="tcp", cluster="nowhere")))
    cluster = bootstrap.static_resources.clusters.add(name="outbound_.80_._.server.default.svc.cluster.local")
    cluster.type = Cluster.DiscoveryType.STATIC
    cluster.load_assignment.cluster_name = cluster.name
    place = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    place.address, place.port_value = "127.0.0.1", server
    return bootstrap


def far_server(port: int, gateway: int) -> tuple[object, ...]:
    """A server on another network, as its clients know it."""
    text = MESH.format(port=port, protocol="http").replace("podIP: 127.0.0.1", f"podIP: {OUT_OF_REACH}")
    text = text.replace("addresses: [127.0.0.1]", f"addresses: [{OUT_OF_REACH}]")
    text = text.replace(
        "security.istio.io/tlsMode: istio", "security.istio.io/tlsMode: istio, topology.istio.io/network: far"
    )
    return (*resources(text), *resources(GATEWAY.format(port=gateway)), peer_authentication("default", "all", "STRICT"))


@contextmanager
def two_networks(folder: Path, client_network: str) -> Iterator[Mesh]:
    """A client on a network, and a server on "far", each with its Envoy; between them an Envoy that is the gateway."""
    authority, ports, gateway = Authority(), Mesh(free_port(), free_port()), free_port()
    seen = far_server(ports.server, gateway)
    at_home = (
        *resources(MESH.format(port=ports.server, protocol="http")),
        peer_authentication("default", "all", "STRICT"),
    )
    with ExitStack() as stack:
        behind = stack.enter_context(application())
        for identity, bootstrap in (
            (SERVER, server_bootstrap(World(*at_home), ports, behind)),
            (CLIENT, client_bootstrap(seen, ports, NETWORK=client_network)),
        ):
            name = identity.rpartition("/")[2]
            secrets = stack.enter_context(agent(folder, authority, identity))
            stack.enter_context(envoy(folder / f"{name}.pb", bootstrap, secrets))
        stack.enter_context(envoy(folder / "gateway.pb", passing_on(gateway, ports.server), folder / "none.sock"))
        connected(gateway).close()
        yield ports


def test_a_request_reaches_another_network_through_its_gateway_and_both_sides_know_each_other(tmp_path):
    with two_networks(tmp_path, "near") as between:
        status, told = between.through_the_mesh()
        assert status == 200
        assert (f"URI={CLIENT}" in told, f"By={SERVER}" in told) == (True, True)


def test_who_is_on_the_network_does_not_go_through_its_gateway(tmp_path):
    with two_networks(tmp_path, "far") as between:
        assert between.through_the_mesh()[0] == 503, "nobody is at that address here"
