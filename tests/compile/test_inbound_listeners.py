from __future__ import annotations

import pytest

from tests.compile.listening import chains, inspectors, listened, manager, service
from tests.mesh.world import PLAINTEXT, World

LABELS = {"app": "a"}
GUARD = "port 15006 -> tcp BlackHoleCluster"
ANY = [
    "raw_buffer http/1.1|h2c -> routes InboundPassthroughCluster",
    "raw_buffer -> tcp InboundPassthroughCluster",
]
CASES = {
    "HTTP is taken as HTTP": (["http:80:8080"], ["port 8080 raw_buffer -> routes inbound|8080||"]),
    "TCP is taken as it comes": (["tcp:80:8080"], ["port 8080 raw_buffer -> tcp inbound|8080||"]),
    "an undeclared protocol is sniffed": (
        ["odd:80:8080"],
        [
            "port 8080 raw_buffer http/1.1|h2c -> routes inbound|8080||",
            "port 8080 raw_buffer -> tcp inbound|8080||",
        ],
    ),
    "a port that serves two service ports has one set of chains": (
        ["http:80:8080", "http-b:81:8080"],
        ["port 8080 raw_buffer -> routes inbound|8080||"],
    ),
    "ports come in order": (
        ["tcp:80:9000", "tcp-b:81:8000"],
        ["port 8000 raw_buffer -> tcp inbound|8000||", "port 9000 raw_buffer -> tcp inbound|9000||"],
    ),
    "ports of the proxy itself are left alone": (["http:80:15021", "tcp:81:15090"], []),
    "a workload without services takes what comes": ([], []),
}


def inbound(world: World, **metadata):
    """The listeners of a workload in a mesh where nobody speaks mutual TLS."""
    world.put(PLAINTEXT)
    return listened(world, "a-1.default", LABELS=LABELS, **metadata)


@pytest.mark.parametrize(("ports", "expected"), CASES.values(), ids=CASES)
def test_chains_by_port(ports, expected):
    world = World(service("a", *ports)) if ports else World()
    assert chains(inbound(world)["virtualInbound"]) == [GUARD, *ANY, *expected]


def disabled(listener, name):
    """The ports for which an inspector is disabled."""
    (found,) = [each.filter_disabled for each in listener.listener_filters if each.name.endswith(name)]
    rules = found.or_match.rules or [found]
    return [rule.destination_port_range.start for rule in rules]


def test_ports_that_are_not_sniffed_do_not_wait_for_the_client():
    found = inbound(World(service("a", "http:80:8080", "tcp:81:9000", "odd:82:7000")))["virtualInbound"]
    assert inspectors(found) == ["original_dst", "http_inspector"]
    assert disabled(found, "http_inspector") == [8080, 9000, 15006]


def test_even_without_ports_the_loop_guard_does_not_wait():
    found = inbound(World())["virtualInbound"]
    assert disabled(found, "http_inspector") == [15006]


def test_a_request_goes_on_to_the_application_with_one_kind_of_retry():
    found = inbound(World(service("a", "http:80:8080")))["virtualInbound"]
    config = manager(found.filter_chains[3])
    (host,) = config.route_config.virtual_hosts
    (route,) = host.routes
    assert (config.stat_prefix, host.name, list(host.domains)) == ("inbound_0.0.0.0_8080;", "inbound|http|80", ["*"])
    assert route.decorator.operation == "a.default.svc.cluster.local:80/*"
    assert (route.route.cluster, route.route.retry_policy.retry_on) == ("inbound|8080||", "reset-before-request")
    assert route.route.retry_policy.num_retries.value == 2
    assert route.route.timeout.ToTimedelta().total_seconds() == 0
    assert config.server_name == "istio-envoy"


def test_grpc_is_not_retried_on_the_way_in():
    found = inbound(World(service("a", "grpc:80:8080")))["virtualInbound"]
    route = manager(found.filter_chains[3]).route_config.virtual_hosts[0].routes[0]
    assert not route.route.HasField("retry_policy")


@pytest.mark.parametrize(
    ("port", "expected"),
    [("http:80", False), ("grpc-web:80", True)],
    ids=["HTTP is not translated", "gRPC-Web is translated to gRPC"],
)
def test_grpc_web(port, expected):
    found = inbound(World(service("a", port)))["virtualInbound"]
    names = [one.name for one in manager(found.filter_chains[3]).http_filters]
    assert ("envoy.filters.http.grpc_web" in names) == expected


def test_tproxy_keeps_the_address_of_the_client():
    found = inbound(World(), INTERCEPTION_MODE="TPROXY")["virtualInbound"]
    assert inspectors(found)[:2] == ["original_dst", "original_src"]
    assert found.transparent.value


def test_redirect_keeps_the_address_of_the_client_where_it_is_asked_to():
    found = inbound(World(), PRESERVE_CLIENT_ADDRESS="true")["virtualInbound"]
    assert inspectors(found)[:2] == ["original_dst", "original_src"]
    assert not found.transparent.value
    assert "original_src" not in inspectors(inbound(World())["virtualInbound"])


def test_exact_balance_is_asked_for_by_direction():
    found = inbound(World(), INBOUND_LISTENER_EXACT_BALANCE="true")
    assert found["virtualInbound"].connection_balance_config.HasField("exact_balance")
    assert not found["virtualOutbound"].HasField("connection_balance_config")


SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec: {{ingress: {ingress}}}
"""


def test_ports_of_a_sidecar_stand_in_place_of_the_services():
    ingress = "[{port: {number: 9080, protocol: HTTP, name: h}, defaultEndpoint: 127.0.0.1:8080}]"
    found = inbound(World(service("a", "http:80:8080"), SIDECAR.format(ingress=ingress)))["virtualInbound"]
    assert chains(found) == [GUARD, *ANY, "port 9080 raw_buffer -> routes inbound|9080||"]
    chain = found.filter_chains[3]
    assert chain.metadata.filter_metadata["istio"]["config"] == (
        "/apis/networking.istio.io/v1/namespaces/default/sidecar/s"
    )
    route = manager(chain).route_config.virtual_hosts[0].routes[0]
    assert route.decorator.operation == "s.default:9080/*"


BOUND = {
    "an address that the Sidecar names": ("bind: 10.9.9.8, captureMode: NONE", {}, "10.9.9.8_9080"),
    "the workload's own address": ("captureMode: NONE", {}, "10.9.9.9_9080"),
    "the workload's own address, where nothing is captured": (
        "defaultEndpoint: 127.0.0.1:80",
        {"INTERCEPTION_MODE": "NONE"},
        "10.9.9.9_9080",
    ),
}


@pytest.mark.parametrize(("how", "metadata", "name"), BOUND.values(), ids=BOUND)
def test_a_port_of_a_sidecar_that_is_not_captured_is_bound_to(how, metadata, name):
    ingress = f"[{{port: {{number: 9080, protocol: HTTP, name: h}}, {how}}}]"
    found = inbound(World(SIDECAR.format(ingress=ingress)), **metadata)[name]
    assert chains(found) == ["port 9080 raw_buffer -> routes inbound|9080||"]
    assert "original_dst" not in inspectors(found)
    assert not found.HasField("bind_to_port")


def test_where_nothing_is_captured_only_a_sidecar_takes_anything():
    assert inbound(World(service("a", "http:80")), INTERCEPTION_MODE="NONE").keys() == {"127.0.0.1_80"}


def test_a_proxy_of_ipv6_listens_on_ipv6():
    found = inbound(World(service("a", "http:80", address="fd00::a")), ip="fd00::1")
    assert found.keys() == {"::_80", "virtualOutbound", "virtualInbound"}
    assert {one.address.socket_address.address for one in found.values()} == {"::"}
    assert found["virtualInbound"].filter_chains[3].name == "::_80"
