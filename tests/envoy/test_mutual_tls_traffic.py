"""Requests between two real Envoys with our clusters and listeners: who may speak to whom, and how."""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from pilotpy_protos.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from tests.compile.listening import listened
from tests.compile.upstreams import Client
from tests.envoy.identities import Authority, agent
from tests.envoy.test_traffic_to_listeners import connected, free_port
from tests.envoy.verdict import ENVOY
from tests.mesh.world import World, peer_authentication, resources

pytestmark = pytest.mark.envoy

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CLIENT = "spiffe://cluster.local/ns/default/sa/client"
SERVER = "spiffe://cluster.local/ns/default/sa/server"
MESH = """
apiVersion: v1
kind: Service
metadata: {{name: server, namespace: default}}
spec: {{clusterIP: 10.96.0.1, selector: {{app: server}}, ports: [{{name: {protocol}, port: 80, targetPort: {port}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: server, namespace: default, labels: {{app: server, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: server, containers: [{{name: c, image: i}}]}}
status: {{podIP: 127.0.0.1}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s, namespace: default, labels: {{kubernetes.io/service-name: server}}}}
addressType: IPv4
endpoints: [{{addresses: [127.0.0.1], targetRef: {{kind: Pod, name: server, namespace: default}}}}]
ports: [{{name: {protocol}, port: {port}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec:
  workloadSelector: {{labels: {{app: server}}}}
  ingress: [{{port: {{number: {port}, protocol: HTTP, name: p}}, bind: 127.0.0.1}}]
"""
TOWARDS = "outbound|80||server.default.svc.cluster.local"


@contextmanager
def application() -> Iterator[int]:
    """Answers with the certificate that it was told of; yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (self.headers.get("x-forwarded-client-cert") or "").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return ""

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def envoy(file: Path, bootstrap: Bootstrap, secrets: Path) -> Iterator[None]:
    """An Envoy with an agent, until the end of the block."""
    bootstrap.node.id, bootstrap.node.cluster = "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "a"
    sds = bootstrap.static_resources.clusters.add(name="sds-grpc")
    sds.load_assignment.cluster_name = sds.name
    sds.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.pipe.path = str(secrets)
    http2 = HttpProtocolOptions()
    http2.explicit_http_config.http2_protocol_options.SetInParent()
    sds.typed_extension_protocol_options[OPTIONS].CopyFrom(packed(http2))
    file.write_bytes(bootstrap.SerializeToString())
    command = [ENVOY, "--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c", file]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


class Mesh:
    """A server and a client, each behind its Envoy."""

    def __init__(self, client: int, server: int) -> None:
        self.client, self.server = client, server  # ports

    def through_the_mesh(self) -> tuple[int, str]:
        connected(self.server).close()
        return _got(self.client)

    def in_plaintext(self) -> tuple[int, str]:
        return _got(self.server)


def _got(port: int) -> tuple[int, str]:
    """The status and body of an answer; (0, "") if the connection was ended instead."""
    connected(port).close()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (ConnectionError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


@contextmanager
def mesh(folder: Path, mode: str, *more: object, protocol="http", serves=SERVER, calls=CLIENT) -> Iterator[Mesh]:
    authority, ports = Authority(), Mesh(free_port(), free_port())
    written = (
        *resources(MESH.format(port=ports.server, protocol=protocol)),
        peer_authentication("default", "all", mode),
    )
    with ExitStack() as stack:
        behind = stack.enter_context(application())
        for identity, bootstrap in (
            (serves, server_bootstrap(World(*written, *more), ports, behind)),
            (calls, client_bootstrap(written + more, ports)),
        ):
            name = identity.rpartition("/")[2]
            secrets = stack.enter_context(agent(folder, authority, identity))
            stack.enter_context(envoy(folder / f"{name}.pb", bootstrap, secrets))
        yield ports


def server_bootstrap(world: World, ports: Mesh, behind: int) -> Bootstrap:
    bootstrap = Bootstrap()
    name = f"127.0.0.1_{ports.server}"
    found = listened(world, "server.default", LABELS={"app": "server"}, INTERCEPTION_MODE="NONE")
    bootstrap.static_resources.listeners.append(found[name])
    cluster = bootstrap.static_resources.clusters.add(name=f"inbound|{ports.server}||")
    cluster.load_assignment.cluster_name = cluster.name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    endpoint.address, endpoint.port_value = "127.0.0.1", behind
    return bootstrap


def client_bootstrap(written: tuple[object, ...], ports: Mesh, **metadata: str) -> Bootstrap:
    client = Client(ISTIO_VERSION="", **metadata)
    client.world.put(*written)
    bootstrap = Bootstrap()
    cluster = next(Cluster.FromString(bytes(one)) for one in client.sent_clusters() if one.name == TOWARDS)
    # Nobody is asked here: what would be the answer stands in the cluster itself.
    cluster.ClearField("eds_cluster_config")
    cluster.type = Cluster.DiscoveryType.STATIC
    for one in client.sent_assignments():
        if one.name == TOWARDS:
            cluster.load_assignment.MergeFromString(bytes(one))
    bootstrap.static_resources.clusters.append(cluster)
    manager = HttpConnectionManager(stat_prefix="client")
    host = manager.route_config.virtual_hosts.add(name="all", domains=["*"])
    route = host.routes.add()
    route.match.prefix, route.route.cluster = "/", TOWARDS
    manager.http_filters.add(name="router").typed_config.CopyFrom(packed(Router()))
    listener = bootstrap.static_resources.listeners.add(name="client")
    listener.address.socket_address.address, listener.address.socket_address.port_value = "127.0.0.1", ports.client
    listener.filter_chains.add().filters.add(name="http").typed_config.CopyFrom(packed(manager))
    return bootstrap


@pytest.mark.parametrize("protocol", ["http", "grpc"], ids=["HTTP", "HTTP/2"])
def test_where_mutual_tls_is_insisted_on_plaintext_is_refused(tmp_path, protocol):
    with mesh(tmp_path, "STRICT", protocol=protocol) as between:
        status, told = between.through_the_mesh()
        assert status == 200
        assert (f"URI={CLIENT}" in told, f"By={SERVER}" in told) == (True, True)
        assert between.in_plaintext() == (0, "")


def test_where_both_are_taken_clients_of_the_mesh_speak_mutual_tls(tmp_path):
    with mesh(tmp_path, "PERMISSIVE") as between:
        status, told = between.through_the_mesh()
        assert (status, f"URI={CLIENT}" in told) == (200, True)
        assert between.in_plaintext() == (200, "")


def test_where_plaintext_is_taken_nobody_shows_a_certificate(tmp_path):
    with mesh(tmp_path, "DISABLE") as between:
        assert between.through_the_mesh() == (200, "")
        assert between.in_plaintext() == (200, "")


def test_a_server_that_is_somebody_else_is_not_spoken_to(tmp_path):
    with mesh(tmp_path, "STRICT", serves=SERVER.replace("sa/server", "sa/thief")) as between:
        assert between.through_the_mesh()[0] == 503


def test_a_client_of_another_trust_domain_is_refused(tmp_path):
    with mesh(tmp_path, "STRICT", calls="spiffe://cluster.local.evil/ns/default/sa/client") as between:
        assert between.through_the_mesh()[0] == 503
