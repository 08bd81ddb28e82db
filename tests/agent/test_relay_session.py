"""One relayed stream as a playbook, incremental and not."""

import pytest

from pilotpy.agent.inbound_connections import InboundConnections
from pilotpy.agent.relay_session import Health, RelaySession
from pilotpy.xds.resource_type import CLUSTER, HEALTH_URL, LISTENER, NAME_TABLE, PROXY_CONFIG
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.service.discovery.v3 import discovery_pb2 as pb
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable


@pytest.fixture(params=[True, False], ids=["incremental", "state of the world"])
def ends(request):
    return Ends(incremental=request.param)


class Ends:
    """Both ends of a session."""

    def __init__(self, *, incremental: bool, inbound: InboundConnections | None = None) -> None:
        self.incremental = incremental
        self.request = pb.DeltaDiscoveryRequest if incremental else pb.DiscoveryRequest
        self.response = pb.DeltaDiscoveryResponse if incremental else pb.DiscoveryResponse
        self.inbound = inbound or InboundConnections()
        self.session = RelaySession(self.inbound, incremental=incremental)

    def envoy(self, url: str, nonce: str = "") -> list[str]:
        """The types that reach the control plane."""
        message = self.request(type_url=url, response_nonce=nonce).SerializeToString()
        return [self.request.FromString(each).type_url for each in self.session.from_envoy(message)]

    def plane(self, url: str, *bodies, nonce: str = "n"):
        message = self.response(type_url=url, nonce=nonce)
        for body in bodies:
            if self.incremental:
                message.resources.add(name=getattr(body, "name", "")).resource.Pack(body)
            else:
                message.resources.add().Pack(body)
        return self.session.from_plane(message.SerializeToString())

    def marks(self, message: bytes) -> list[str]:
        response = self.response.FromString(message)
        bodies = [each.resource if self.incremental else each for each in response.resources]
        listeners = [Listener.FromString(body.value) for body in bodies]
        return [
            dict(chain.metadata.filter_metadata["pilotpy.agent"]).get("connections", "")
            for listener in listeners
            for chain in listener.filter_chains
        ]


def inbound_listener(name: str = "virtualInbound") -> Listener:
    made = Listener(name=name)
    made.filter_chains.add(name="tls").transport_socket.name = "tls"
    made.filter_chains.add(name="plain")
    return made


def test_names_and_roots_are_asked_for_once_after_listeners(ends):
    assert ends.envoy(CLUSTER.url) == [CLUSTER.url]
    assert ends.envoy(LISTENER.url) == [LISTENER.url, NAME_TABLE.url, PROXY_CONFIG.url]
    assert ends.envoy(LISTENER.url, nonce="n") == [LISTENER.url]


def test_without_dns_names_are_not_asked_for(ends):
    ends.session = RelaySession(ends.inbound, incremental=ends.incremental, names=False)
    assert ends.envoy(LISTENER.url) == [LISTENER.url, PROXY_CONFIG.url]


def test_names_stop_at_the_agent_and_are_acknowledged(ends):
    table = NameTable()
    table.table["a.default.svc.cluster.local"].ips.append("10.0.0.1")
    taken = ends.plane(NAME_TABLE.url, table, nonce="7")
    assert taken.to_envoy is None
    assert taken.names == table
    acknowledged = ends.request.FromString(taken.answer)
    assert (acknowledged.type_url, acknowledged.response_nonce) == (NAME_TABLE.url, "7")
    assert not acknowledged.HasField("error_detail")


def test_roots_stop_at_the_agent_and_can_be_refused(ends):
    taken = ends.plane(PROXY_CONFIG.url, ProxyConfig(ca_certificates_pem=["a", "b"]))
    assert taken.roots == ("a", "b")
    refusal = ends.request.FromString(ends.session.refused(taken, "no root"))
    assert (refusal.response_nonce, refusal.error_detail.message) == ("n", "no root")


def test_what_envoy_does_not_know_never_reaches_it(ends):
    assert ends.plane("istio.io/debug/syncz").to_envoy is None


def test_all_else_passes_as_it_came(ends):
    message = ends.response(type_url=LISTENER.url, nonce="1").SerializeToString()
    assert ends.session.from_plane(message).to_envoy is message


def test_health_waits_for_listeners_and_is_told_with_a_reason(ends):
    assert ends.session.health(Health(healthy=False, reason="connection refused")) == []
    ends.envoy(CLUSTER.url)
    assert ends.envoy(LISTENER.url)[-1] == HEALTH_URL
    (told,) = ends.session.health(Health(healthy=False, reason="status 500"))
    assert ends.request.FromString(told).error_detail.message == "status 500"
    (told,) = ends.session.health(Health(healthy=True))
    assert not ends.request.FromString(told).HasField("error_detail")


def test_there_is_nothing_to_refresh_before_listeners(ends):
    assert ends.session.fresh_inbound("a") is None


def test_a_refresh_marks_only_chains_that_end_tls_of_the_inbound_listener(ends):
    ends.plane(LISTENER.url, inbound_listener(), inbound_listener("0.0.0.0_80"))
    fresh = ends.session.fresh_inbound("a")
    assert ends.marks(fresh) == (["a", ""] if ends.incremental else ["a", "", "", ""])
    nonce = ends.response.FromString(fresh).nonce
    assert ends.envoy(LISTENER.url, nonce) == []


def test_a_mark_stays_on_what_the_control_plane_sends_later(ends):
    ends.plane(LISTENER.url, inbound_listener())
    ends.session.fresh_inbound("a")
    assert ends.marks(ends.plane(LISTENER.url, inbound_listener()).to_envoy) == ["a", ""]


def test_a_client_that_reconnects_and_is_sent_nothing_can_still_be_refreshed():
    ends = Ends(incremental=True)
    ends.plane(LISTENER.url, inbound_listener())
    again = Ends(incremental=True, inbound=ends.inbound)
    assert again.marks(again.session.fresh_inbound("a")) == ["a", ""]


def test_a_listener_that_was_removed_is_not_brought_back():
    ends = Ends(incremental=True)
    ends.plane(LISTENER.url, inbound_listener())
    gone = pb.DeltaDiscoveryResponse(type_url=LISTENER.url, removed_resources=["virtualInbound"])
    ends.session.from_plane(gone.SerializeToString())
    assert ends.session.fresh_inbound("a") is None


def test_nonsense_is_told_apart(ends):
    with pytest.raises(ValueError, match="request"):
        ends.session.from_envoy(b"\xff\xff")
    with pytest.raises(ValueError, match="response"):
        ends.session.from_plane(b"\xff\xff")
