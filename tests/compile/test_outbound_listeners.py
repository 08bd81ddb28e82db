from __future__ import annotations

import pytest

from pilotpy.mesh.views import view
from pilotpy.model.mesh_config import OutboundTrafficPolicy
from pilotpy.model.resource import Ref
from tests.compile.listening import chains, entry, inspectors, listened, listened_by, manager, proxy, service, slices
from tests.mesh.world import World

HTTP = "raw_buffer http/1.1|h2c"
ELSEWHERE = "otherwise -> tcp PassthroughCluster"

CASES = {
    "HTTP services of a port share one listener": (
        [service("a", "http:80"), service("b", "http:80", address="10.96.0.2")],
        {"0.0.0.0_80": [f"{HTTP} -> routes 80", ELSEWHERE]},
    ),
    "TCP listens at the service's address": (
        [service("a", "tcp-db:9000")],
        {"10.96.0.1_9000": ["all -> tcp outbound|9000||a.default.svc.cluster.local"]},
    ),
    "an undeclared protocol is sniffed at the service's address": (
        [service("a", "odd:9000")],
        {
            "10.96.0.1_9000": [
                f"{HTTP} -> routes a.default.svc.cluster.local:9000",
                "otherwise -> tcp outbound|9000||a.default.svc.cluster.local",
            ]
        },
    ),
    "a headless service listens at each endpoint": (
        [service("a", "tcp:9000", address="None"), slices("a", "tcp:9000", "10.1.0.1", "10.1.0.2")],
        {
            "10.1.0.1_9000": ["all -> tcp outbound|9000||a.default.svc.cluster.local"],
            "10.1.0.2_9000": ["all -> tcp outbound|9000||a.default.svc.cluster.local"],
        },
    ),
    "a headless service whose endpoints are gone listens nowhere": (
        [service("a", "tcp:9000", address="None")],
        {},
    ),
    "a headless service sniffs at each endpoint, with routes in common": (
        [service("a", "odd:9000", address="None"), slices("a", "odd:9000", "10.1.0.1")],
        {
            "10.1.0.1_9000": [
                f"{HTTP} -> routes a.default.svc.cluster.local:9000",
                "otherwise -> tcp outbound|9000||a.default.svc.cluster.local",
            ]
        },
    ),
    "headless services that have an endpoint in common listen there once": (
        [
            service("a", "tcp:9000", address="None"),
            slices("a", "tcp:9000", "10.1.0.1", "10.1.0.2"),
            service("b", "odd:9000", address="None"),
            slices("b", "odd:9000", "10.1.0.1"),
        ],
        {
            "10.1.0.2_9000": ["all -> tcp outbound|9000||a.default.svc.cluster.local"],
            "10.1.0.1_9000": [
                f"{HTTP} -> routes b.default.svc.cluster.local:9000",
                "otherwise -> tcp outbound|9000||a.default.svc.cluster.local",
            ],
        },
    ),
    "HTTP of a headless service needs no endpoint": (
        [service("a", "http:80", address="None")],
        {"0.0.0.0_80": [f"{HTTP} -> routes 80", ELSEWHERE]},
    ),
    "UDP is not listened for": ([entry("e", "a.com", "53 UDP", "1.2.3.4")], {}),
    "TLS without an address is told apart by its server name": (
        [entry("e", "a.com", "443 TLS"), entry("f", "b.com", "443 TLS", created=2)],
        {
            "0.0.0.0_443": [
                "sni a.com -> tcp outbound|443||a.com",
                "sni b.com -> tcp outbound|443||b.com",
                ELSEWHERE,
            ]
        },
    ),
    "TLS with an address needs no server name": (
        [entry("e", "a.com", "443 TLS", "1.2.3.4")],
        {"1.2.3.4_443": ["all -> tcp outbound|443||a.com"]},
    ),
    "a range of addresses is matched in the wildcard listener": (
        [entry("e", "a.com", "9000 TCP", "10.5.0.0/16", resolution="NONE")],
        {"0.0.0.0_9000": ["10.5.0.0/16 -> tcp outbound|9000||a.com", ELSEWHERE]},
    ),
    "a service with several addresses listens at each": (
        [entry("e", "a.com", "9000 TCP", "1.2.3.4, 1.2.3.5")],
        {
            "1.2.3.4_9000": ["all -> tcp outbound|9000||a.com"],
            "1.2.3.5_9000": ["all -> tcp outbound|9000||a.com"],
        },
    ),
    "of two services that take all connections of an address the older has it": (
        [entry("e", "young.com", "9000 TCP", "1.2.3.4", created=2), entry("f", "old.com", "9000 TCP", "1.2.3.4")],
        {"1.2.3.4_9000": ["all -> tcp outbound|9000||old.com"]},
    ),
    "HTTP and TCP without an address share a port": (
        [service("a", "http:80"), entry("e", "b.com", "80 TCP", resolution="NONE")],
        {"0.0.0.0_80": [f"{HTTP} -> routes 80", "otherwise -> tcp outbound|80||b.com"]},
    ),
    "ports of the proxy itself are left alone": (
        [service("a", "http:15090"), service("b", "http:15001", address="10.96.0.2")],
        {},
    ),
    "MongoDB is a protocol of its own": (
        [service("a", "mongo:27017")],
        {"10.96.0.1_27017": ["all -> tcp outbound|27017||a.default.svc.cluster.local"]},
    ),
}


@pytest.mark.parametrize(("written", "expected"), CASES.values(), ids=CASES)
def test_listeners_of_services(written, expected):
    found = listened(World(*written))
    assert list(found)[-2:] == ["virtualOutbound", "virtualInbound"]
    assert {name: chains(found[name]) for name in list(found)[:-2]} == expected


def test_only_what_chains_ask_for_is_inspected():
    world = World(service("a", "http:80", "tcp:81", "odd:82"), entry("e", "a.com", "443 TLS"))
    found = listened(world)
    asked = {name: inspectors(found[name]) for name in ("0.0.0.0_80", "10.96.0.1_81", "10.96.0.1_82", "0.0.0.0_443")}
    assert asked == {
        "0.0.0.0_80": ["http_inspector"],
        "10.96.0.1_81": [],
        "10.96.0.1_82": ["http_inspector"],
        "0.0.0.0_443": ["tls_inspector"],
    }


def test_statistics_are_named_by_the_meshs_patterns():
    world = World(service("a", "tcp:9000:9001"))
    world.settings(outbound_cluster_stat_name="%SERVICE%_%SERVICE_PORT%", inbound_cluster_stat_name="%TARGET_PORT%")
    found = listened(world, "a-1.default", LABELS={"app": "a"})
    assert proxy(found["10.96.0.1_9000"].filter_chains[0]).stat_prefix == "a.default_9000"
    assert proxy(found["virtualInbound"].filter_chains[-1]).stat_prefix == "9001"


def test_idle_timeout_of_the_proxy_holds_where_no_rule_has_one():
    config = proxy(listened(World(service("a", "tcp:9000")), IDLE_TIMEOUT="5m")["10.96.0.1_9000"].filter_chains[0])
    assert config.idle_timeout.seconds == 300


def test_strangers_are_refused_when_only_the_registry_counts():
    world = World(service("a", "http:80"))
    world.settings(outbound_traffic_policy=OutboundTrafficPolicy(mode="REGISTRY_ONLY"))
    found = listened(world)
    assert chains(found["0.0.0.0_80"])[-1] == "otherwise -> tcp BlackHoleCluster"
    assert chains(found["virtualOutbound"]) == ["port 15001 -> tcp BlackHoleCluster", "all -> tcp BlackHoleCluster"]


def test_the_capturing_listener_hands_on_by_original_destination():
    found = listened(World(), INTERCEPTION_MODE="TPROXY")["virtualOutbound"]
    assert chains(found) == ["port 15001 -> tcp BlackHoleCluster", "all -> tcp PassthroughCluster"]
    assert found.use_original_dst.value
    assert found.transparent.value
    assert found.max_connections_to_accept_per_socket_event.value == 1
    assert not found.HasField("bind_to_port")


def test_where_nothing_is_captured_everything_is_bound_to_the_proxy():
    world = World(service("a", "http:80", "tcp:9000"))
    found = listened(world, INTERCEPTION_MODE="NONE")
    assert {name: chains(one) for name, one in found.items()} == {
        "127.0.0.1_80": ["all -> routes 80"],
        "127.0.0.1_9000": ["all -> tcp outbound|9000||a.default.svc.cluster.local"],
    }
    assert not any(one.HasField("bind_to_port") for one in found.values())


def test_unprivileged_pods_bind_no_privileged_port():
    world = World(service("a", "http:80", "http-b:8080"))
    assert list(listened(world, INTERCEPTION_MODE="NONE", UNPRIVILEGED_POD="true")) == ["127.0.0.1_8080"]


def test_the_explicit_proxy_takes_absolute_urls():
    found = listened(World(), HTTP_PROXY_PORT="15002")["127.0.0.1_15002"]
    assert chains(found) == ["all -> routes http_proxy"]
    assert manager(found.filter_chains[0]).http_protocol_options.allow_absolute_url.value
    assert not found.HasField("bind_to_port")


def test_http10_is_sniffed_and_taken_where_it_is_asked_for():
    found = listened(World(service("a", "http:80")), HTTP10="1")["0.0.0.0_80"]
    assert chains(found)[0] == "raw_buffer http/1.0|http/1.1|h2c -> routes 80"
    assert manager(found.filter_chains[0]).http_protocol_options.accept_http_10


SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec: {{egress: {egress}}}
"""
EXITS = {
    "a port of its own has only its hosts behind it, whatever else listens": (
        "[{port: {number: 80, protocol: HTTP, name: h}, hosts: [./a.default.svc.cluster.local]}, {hosts: [./*]}]",
        {
            "0.0.0.0_80": [f"{HTTP} -> routes 80", ELSEWHERE],
            "10.96.0.2_9000": ["all -> tcp outbound|9000||b.default.svc.cluster.local"],
        },
    ),
    "an exit may be bound to an address": (
        "[{port: {number: 9000, protocol: TCP, name: t}, bind: 127.0.0.9, captureMode: NONE, hosts: [./*]}]",
        {"127.0.0.9_9000": ["all -> tcp outbound|9000||b.default.svc.cluster.local"]},
    ),
    "what is bound without an address is the proxy's own": (
        "[{captureMode: NONE, hosts: [./*]}]",
        {
            "127.0.0.1_80": ["all -> routes 80"],
            "127.0.0.1_9000": ["all -> tcp outbound|9000||b.default.svc.cluster.local"],
        },
    ),
}


@pytest.mark.parametrize(("egress", "expected"), EXITS.values(), ids=EXITS)
def test_exits_of_a_sidecar(egress, expected):
    world = World(service("a", "http:80"), service("b", "tcp:9000", address="10.96.0.2"), SIDECAR.format(egress=egress))
    found = listened(world)
    assert {name: chains(found[name]) for name in list(found)[:-2]} == expected


def test_an_exit_through_a_unix_socket_is_said_to_be_missing():
    egress = "[{port: {number: 80, protocol: HTTP, name: h}, bind: unix:///a.sock, hosts: [./*]}, {hosts: [./*]}]"
    world = World(service("a", "http:80"), SIDECAR.format(egress=egress))
    found = world.view("client.default")
    assert list(listened_by(world, found)) == ["0.0.0.0_80", "virtualOutbound", "virtualInbound"]
    assert world.codes(view, world.announce("sidecar~10.9.9.9~client.default~default.svc.cluster.local")) == [
        ("PP0008", Ref("Sidecar", "default", "s"))
    ]
