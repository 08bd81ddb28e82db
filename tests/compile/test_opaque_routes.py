"""Rules of VirtualServices and DestinationRules for connections that nobody looks into."""

from __future__ import annotations

import pytest

from pilotpy.compile.listeners import listeners
from pilotpy.model.resource import Ref
from tests.compile.listening import chains, entry, listened, listened_by, proxy, service
from tests.mesh.world import World

ELSEWHERE = "otherwise -> tcp PassthroughCluster"


def virtual_service(hosts, rules, kind="tcp"):
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v, namespace: default}}
spec: {{hosts: [{hosts}], {kind}: {rules}}}
"""


A = "outbound|9000||a.default.svc.cluster.local"
V1 = "outbound|9000|v1|a.default.svc.cluster.local"
V2 = "outbound|9000|v2|a.default.svc.cluster.local"
RULES = {
    "a rule without a match takes every connection": (
        "[{route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {V1}"],
    ),
    "weights are kept, zero ones dropped": (
        """[{route: [
          {destination: {host: a, subset: v1}, weight: 90},
          {destination: {host: a, subset: v2}, weight: 10},
          {destination: {host: a, subset: v3}, weight: 0}]}]""",
        [f"all -> 90 {V1}, 10 {V2}"],
    ),
    "a rule of another port is passed over": (
        "[{match: [{port: 1}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {A}"],
    ),
    "a rule of a gateway is passed over": (
        "[{match: [{gateways: [gw]}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {A}"],
    ),
    "a rule for subnets leaves the rest to the default": (
        "[{match: [{destinationSubnets: [10.7.0.0/16]}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"10.7.0.0/16 -> tcp {V1}", f"otherwise -> tcp {A}"],
    ),
    "a rule for other clients is passed over": (
        "[{match: [{sourceLabels: {app: other}}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {A}"],
    ),
    "a rule for this client holds": (
        "[{match: [{sourceLabels: {app: client}}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {V1}"],
    ),
    "a rule for this namespace holds": (
        "[{match: [{sourceNamespace: default}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {V1}"],
    ),
    "a rule for another namespace is passed over": (
        "[{match: [{sourceNamespace: other}], route: [{destination: {host: a, subset: v1}}]}]",
        [f"all -> tcp {A}"],
    ),
}
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec: {host: a, subsets: [{name: v1}, {name: v2}, {name: v3}]}
"""


@pytest.mark.parametrize(("rules", "expected"), RULES.values(), ids=RULES)
def test_rules_for_tcp(rules, expected):
    world = World(service("a", "tcp:9000"), SUBSETS, virtual_service("a", rules))
    assert chains(listened(world, LABELS={"app": "client"})["10.96.0.1_9000"]) == expected


def test_a_rule_that_leads_nowhere_is_said_and_kept():
    world = World(service("a", "tcp:9000"), virtual_service("a", "[{route: [{destination: {host: gone}}]}]"))
    seen = world.view("client.default")
    assert chains(listened_by(world, seen)["10.96.0.1_9000"]) == [
        "all -> tcp outbound|9000||gone.default.svc.cluster.local"
    ]
    key = (seen.scope, seen.inbound, seen.features, seen.listening)
    assert world.codes(listeners, *key) == [("IST0101", Ref("VirtualService", "default", "v"))]


TLS_RULE = "{match: [{sniHosts: [%s], destinationSubnets: [%s]}], route: [{destination: {host: c.com}}]}"
OVERLAPS = {
    "a name belongs to the first rule that has it": (
        [("a.com", ""), ("a.com, b.com", "")],
        ["sni a.com", "sni b.com", "otherwise"],
        True,
    ),
    "a rule with nothing left is dropped": ([("a.com", ""), ("A.com", "")], ["sni a.com", "otherwise"], True),
    "a name may be told apart by the subnet": (
        [("a.com", "10.0.0.0/8"), ("a.com", "11.0.0.0/8")],
        ["10.0.0.0/8 sni a.com", "11.0.0.0/8 sni a.com", "otherwise"],
        False,
    ),
    "subnets are the same whatever their host bits": (
        [("a.com", "10.0.0.1/8"), ("a.com", "10.0.0.2/8")],
        ["10.0.0.0/8 sni a.com", "otherwise"],
        True,
    ),
    "a star takes all": ([('"*"', "")], ["all"], False),
    "all addresses are no condition": ([("a.com", "0.0.0.0/0"), ("a.com", "")], ["sni a.com", "otherwise"], True),
    "a wildcard must be a whole label": ([('"*a.com"', "")], ["all"], True),
    "a subnet that is none takes nothing": ([("a.com", "ten")], ["all"], True),
}


@pytest.mark.parametrize(("rules", "expected", "noted"), OVERLAPS.values(), ids=OVERLAPS)
def test_no_two_chains_of_a_listener_take_the_same_connections(rules, expected, noted):
    tls = f"[{', '.join(TLS_RULE % rule for rule in rules)}]"
    world = World(entry("e", "c.com", "443 TLS", "1.2.3.4"), virtual_service("c.com", tls, "tls"))
    seen = world.view("client.default")
    found = listened_by(world, seen)["1.2.3.4_443"]
    assert [line.partition(" -> ")[0] for line in chains(found)] == expected
    key = (seen.scope, seen.inbound, seen.features, seen.listening)
    assert world.codes(listeners, *key) == [("PP0204", Ref("VirtualService", "default", "v"))] * noted


def test_a_host_that_no_server_name_can_match_is_said():
    world = World(entry("e", '"*-v1.a.com"', "443 TLS", resolution="NONE"))
    seen = world.view("client.default")
    assert chains(listened_by(world, seen)["0.0.0.0_443"]) == ["all -> tcp PassthroughCluster"]
    key = (seen.scope, seen.inbound, seen.features, seen.listening)
    assert world.codes(listeners, *key) == [("PP0204", Ref("ServiceEntry", "default", "e"))]


def test_aliases_are_server_names_too():
    alias = """
apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec: {type: ExternalName, externalName: a.com}
"""
    assert chains(listened(World(entry("e", "a.com", "443 TLS"), alias))["0.0.0.0_443"]) == [
        "sni a.com sni other.default.svc.cluster.local -> tcp outbound|443||a.com",
        ELSEWHERE,
    ]


def test_mongodb_is_counted_before_it_is_passed_on():
    chain = listened(World(service("a", "mongo:27017")))["10.96.0.1_27017"].filter_chains[0]
    assert [each.name for each in chain.filters] == [
        "envoy.filters.network.mongo_proxy",
        "envoy.filters.network.tcp_proxy",
    ]


def test_rules_for_tls_match_by_server_name():
    rules = """[
      {match: [{sniHosts: [x.a.com], port: 443}], route: [{destination: {host: b.com}}]},
      {match: [{sniHosts: [x.a.com]}, {sniHosts: [y.a.com]}], route: [{destination: {host: "*.a.com"}}]},
      {match: [{sniHosts: ["*"], port: 444}], route: [{destination: {host: b.com}}]}]"""
    world = World(
        entry("e", '"*.a.com"', "443 TLS", resolution="NONE"),
        entry("f", "b.com", "443 TLS", "1.2.3.4"),
        virtual_service('"*.a.com"', rules, "tls"),
    )
    assert chains(listened(world)["0.0.0.0_443"]) == [
        "sni x.a.com -> tcp outbound|443||b.com",
        "sni y.a.com -> tcp outbound|443||*.a.com",
        ELSEWHERE,
    ]


def test_a_destination_rule_limits_tcp_connections():
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  trafficPolicy:
    loadBalancer: {consistentHash: {useSourceIp: true}}
    connectionPool: {tcp: {idleTimeout: 30s, maxConnectionDuration: 2h}}
    tunnel: {protocol: POST, targetHost: b.com, targetPort: 443}
"""
    config = proxy(listened(World(service("a", "tcp:9000"), rule))["10.96.0.1_9000"].filter_chains[0])
    assert config.idle_timeout.seconds == 30
    assert config.max_downstream_connection_duration.seconds == 7200
    assert config.hash_policy[0].HasField("source_ip")
    assert (config.tunneling_config.hostname, config.tunneling_config.use_post) == ("b.com:443", True)
