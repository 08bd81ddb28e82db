"""Who a client says it is, as its first request has it."""

import pytest

from pilotpy.mesh.views import view
from pilotpy.xds.admission import node_in
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from tests.mesh.world import World
from tests.xds.client import node_id

STARTED_WITH = {"concurrency": 1, "proxyAdminPort": 15000, "statusPort": 15020, "tracing": {"sampling": 0.5}}


def metadata(**said) -> dict[str, object]:
    request = DiscoveryRequest()
    request.node.id = node_id("web-1", "shop")
    request.node.metadata.update(said)
    return node_in(request).metadata


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(15000, id="a whole number"),
        pytest.param(0.5, id="a fraction"),
        pytest.param({"ports": [{"containerPort": 9080}, 0.25]}, id="numbers within"),
        pytest.param("15000", id="a text that looks like one"),
        pytest.param(True, id="a truth"),
    ],
)
def test_a_value_is_what_it_was_before_it_was_sent(value):
    assert repr(metadata(KEY=value)["KEY"]) == repr(value)


def test_what_istios_agent_was_started_with_is_read():
    world = World()
    said = metadata(PROXY_CONFIG=STARTED_WITH)
    assert '"sampling":0.5' in world.view("web-1.shop", **said).listening.own
    assert world.codes(view, "sidecar~10.9.9.9~web-1.shop~shop.svc.cluster.local") == []
