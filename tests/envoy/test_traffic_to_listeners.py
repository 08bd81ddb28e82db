"""Connections through a real Envoy with our listeners: who waits for whom."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from pilotpy_protos.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from pilotpy_protos.envoy.config.core.v3.base_pb2 import TrafficDirection
from tests.compile.listening import listened
from tests.envoy.verdict import ENVOY
from tests.mesh.world import PLAINTEXT, World
from tests.waiting import eventually

pytestmark = pytest.mark.envoy

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@contextmanager
def application(speak) -> Iterator[int]:
    """A server on a port of its own, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return  # closed: the test is over
                with connection:
                    speak(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@contextmanager
def workload(
    folder, protocol: str, application_port: int, *policies: str, others: Mapping[str, int] | None = None, **settings
) -> Iterator[int]:
    """An Envoy before an application, where nothing is captured; yields the port that it listens on.

    `others` are ports of servers that it knows besides, by the names of their clusters.
    """
    port = free_port()
    world = World(
        PLAINTEXT,
        *policies,
        f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec: {{ingress: [{{port: {{number: {port}, protocol: {protocol}, name: p}}, bind: 127.0.0.1}}]}}
""",
    )
    if settings:
        world.settings(**settings)
    bootstrap = Bootstrap()
    found = listened(world, INTERCEPTION_MODE="NONE").values()
    inbound = [one for one in found if one.traffic_direction == TrafficDirection.INBOUND]
    bootstrap.static_resources.listeners.extend(inbound)
    for name, number in {f"inbound|{port}||": application_port, **(others or {})}.items():
        cluster = bootstrap.static_resources.clusters.add(name=name)
        cluster.load_assignment.cluster_name = cluster.name
        endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        endpoint.address, endpoint.port_value = "127.0.0.1", number
    (folder / "bootstrap.pb").write_bytes(bootstrap.SerializeToString())
    command = [ENVOY, "--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c", folder / "bootstrap.pb"]
    with subprocess.Popen(command) as envoy:
        try:
            yield port
        finally:
            envoy.terminate()


def connected(port: int) -> socket.socket:
    """A connection to a server that may still be starting."""
    return eventually(lambda: socket.create_connection(("127.0.0.1", port), timeout=10), passing=ConnectionRefusedError)


def greet(connection: socket.socket) -> None:
    connection.sendall(b"welcome")


def answer(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(ANSWER)


def repeat(connection: socket.socket) -> None:
    connection.sendall(connection.recv(4096))


def test_a_declared_tcp_port_lets_the_server_speak_first(tmp_path):
    with application(greet) as server, workload(tmp_path, "TCP", server) as port, connected(port) as client:
        assert client.recv(7, socket.MSG_WAITALL) == b"welcome"


@pytest.mark.parametrize("protocol", ["HTTP", "Unknown"], ids=["declared HTTP", "sniffed HTTP"])
def test_http_is_taken_as_http(tmp_path, protocol):
    with application(answer) as server, workload(tmp_path, protocol, server) as port, connected(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"x-envoy-upstream-service-time" in client.recv(4096)


def test_what_is_sniffed_and_is_not_http_is_passed_on(tmp_path):
    with application(repeat) as server, workload(tmp_path, "Unknown", server) as port, connected(port) as client:
        client.sendall(b"\x00\x01 not a request")
        assert client.recv(4096) == b"\x00\x01 not a request"
