"""The echo application, as a program of its own, spoken to in each of its protocols."""

import http.client
import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import h2
import pytest

from pilotpy.lab import echo
from tests.waiting import eventually


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    packages = str(Path(h2.__file__).parents[1])
    identity = json.dumps({"pod": "a-1", "version": "v2"})
    program = [sys.executable, "-I", "-S", echo.__file__, "--ports", str(number)]
    running = subprocess.Popen([*program, "--identity", identity, "--packages", packages])
    try:
        eventually(lambda: socket.create_connection(("127.0.0.1", number)), passing=OSError).close()
        yield number
    finally:
        running.terminate()
        running.wait()


def asked(port, path="/", **headers):
    with connected(port) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def connected(port):
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10))


def test_http_says_who_answers_and_what_it_received(port):
    status, said = asked(port, "/some/path?x=1", **{"x-custom": "yes"})
    assert (status, said["pod"], said["version"], said["protocol"]) == (200, "a-1", "v2", "HTTP/1.1")
    assert (said["method"], said["path"], said["headers"]["x-custom"]) == ("GET", "/some/path?x=1", "yes")
    assert said["from"].startswith("127.0.0.1:")


def test_a_connection_is_kept_for_the_next_request(port):
    sources = set()
    with connected(port) as connection:
        for body in (b"one", b"two"):
            connection.request("POST", "/", body)
            said = json.loads(connection.getresponse().read())
            assert said["body"] == body.decode()
            sources.add(said["from"])
    assert len(sources) == 1


def test_a_chunked_body_is_read(port):
    with connected(port) as connection:
        connection.request("POST", "/", iter([b"one ", b"two"]), encode_chunked=True)
        assert json.loads(connection.getresponse().read())["body"] == "one two"


def test_it_answers_with_the_status_that_is_asked_for(port):
    assert asked(port, "/?status=503")[0] == 503


def test_it_asks_on_and_passes_trace_headers(port):
    _, said = asked(port, f"/?url=http://127.0.0.1:{port}/next", traceparent="00-1-2-3", other="x")
    assert said["next"]["path"] == "/next"
    assert said["next"]["headers"]["traceparent"] == "00-1-2-3"
    assert "other" not in said["next"]["headers"]


def test_grpc_is_answered_whatever_the_method(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/any.Service/Method", lambda text: b"\x0a" + bytes([len(text)]) + text, bytes)
        message = call(b"hello", timeout=10)
    said = json.loads(message[message.index(b"{") :])
    assert (said["protocol"], said["path"], said["body"]) == ("gRPC", "/any.Service/Method", "hello")


def test_grpc_health_is_serving(port):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_anything_else_is_answered_line_by_line(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"hello\n")
        said = json.loads(connection.recv(65536))
    assert (said["protocol"], said["received"]) == ("TCP", "hello")
