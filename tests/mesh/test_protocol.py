import pytest

from pilotpy.mesh.protocol import named_protocol, selected_protocol
from pilotpy.mesh.service import Protocol


@pytest.mark.parametrize(
    ("number", "name", "transport", "app", "expected"),
    [
        pytest.param(80, "http", "TCP", "", Protocol.HTTP, id="the whole name"),
        pytest.param(80, "http-web", "TCP", "", Protocol.HTTP, id="the part before the hyphen"),
        pytest.param(80, "HTTP2-web", "TCP", "", Protocol.HTTP2, id="in any case"),
        pytest.param(80, "grpc-web", "TCP", "", Protocol.GRPC_WEB, id="gRPC-Web keeps its hyphen"),
        pytest.param(80, "grpc-web-ui", "TCP", "", Protocol.GRPC_WEB, id="and may have a suffix"),
        pytest.param(80, "grpc-ui", "TCP", "", Protocol.GRPC, id="gRPC with a suffix"),
        pytest.param(80, "web", "TCP", "", Protocol.AUTO, id="an unknown word is sniffed"),
        pytest.param(80, "", "TCP", "", Protocol.AUTO, id="no name is sniffed"),
        pytest.param(3306, "db", "TCP", "", Protocol.TCP, id="servers that speak first are never sniffed"),
        pytest.param(3306, "http", "TCP", "", Protocol.HTTP, id="unless their port says what it is"),
        pytest.param(53, "dns", "UDP", "", Protocol.UDP, id="UDP is UDP"),
        pytest.param(80, "tcp", "TCP", "http", Protocol.HTTP, id="appProtocol wins over the name"),
        pytest.param(80, "tcp", "TCP", "kubernetes.io/h2c", Protocol.HTTP2, id="Kubernetes' h2c"),
        pytest.param(80, "tcp", "TCP", "kubernetes.io/ws", Protocol.HTTP, id="Kubernetes' ws"),
        pytest.param(80, "tcp", "TCP", "kubernetes.io/wss", Protocol.HTTPS, id="Kubernetes' wss"),
        pytest.param(80, "http", "TCP", "example.com/own", Protocol.AUTO, id="an unknown appProtocol hides the name"),
    ],
)
def test_protocol_selection(number, name, transport, app, expected):
    assert selected_protocol(number, name, transport, app) is expected


def test_ports_that_only_name_a_protocol_have_no_prefixes():
    assert named_protocol("GRPC") is Protocol.GRPC
    assert named_protocol("http-web") is Protocol.AUTO
