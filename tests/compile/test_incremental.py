"""However a mesh came to be what it is, its clusters and endpoints are those of a mesh that was so from the start."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy.compile.clusters import clusters
from pilotpy.compile.encoded import Tree, differences
from pilotpy.compile.endpoints import assignments
from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import KIND_OF, PROXIES
from pilotpy.mesh.network_gateways import HOST_ADDRESSES
from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.mesh.views import view
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from tests.compile.upstreams import CLIENT, REVIEWS_SERVICE, rule, workloads
from tests.mesh.networks import elsewhere, gateway, networks, root_namespace
from tests.mesh.world import resources

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: default}
spec:
  hosts: [api.example.com]
  resolution: %s
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 192.0.2.1, locality: us/east}, {address: 192.0.2.2, locality: eu/north}]
"""
TEXTS = [
    REVIEWS_SERVICE,
    REVIEWS_SERVICE.replace("name: http", "name: grpc"),
    REVIEWS_SERVICE.replace("10.96.0.10", '"None"'),
    REVIEWS_SERVICE.replace("spec:", "spec:\n  trafficDistribution: PreferClose"),
    workloads(("v1", "us/east/a", "ready: true")),
    workloads(("v1", "us/west/a", "ready: true"), ("v2", "eu/north/a", "ready: true")),
    ENTRY % "DNS",
    ENTRY % "STATIC",
    rule("null", subsets="[{name: v1, labels: {version: v1}}]"),
    rule("{outlierDetection: {}}"),
    rule("{loadBalancer: {simple: PASSTHROUGH}}"),
    rule("{connectionPool: {tcp: {maxConnections: 5}}}", host="*.default.svc.cluster.local"),
    rule("{outlierDetection: {}}", host="*.example.com", subsets="[{name: v1, labels: {version: v1}}]"),
    workloads(("v1", "us/east/a", "ready: true"), ("v1", "eu/north/a", "ready: true")).replace(
        "labels: {app", "labels: {topology.istio.io/network: far, security.istio.io/tlsMode: istio, app"
    ),
    gateway("far", "203.0.113.9"),
    root_namespace("near"),
]
OBJECTS = [
    *map(resources, TEXTS),
    [networks("networks: {far: {endpoints: [{fromCidr: 10.1.0.0/24}], gateways: [{address: gw.example, port: 443}]}}")],
    elsewhere("east", "---".join((workloads(("v1", "us/east/b", "ready: true")), gateway("far", "203.0.113.8")))),
]
WRITES = [
    [Put(HOST_ADDRESSES, ("gw.example",), ("203.0.113.1", "203.0.113.2"))],
    *([Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in objects] for objects in OBJECTS),
]
CHANGES = st.sampled_from(WRITES) | st.sampled_from(WRITES).map(lambda puts: [put._replace(value=None) for put in puts])


def compiled(engine: Engine) -> tuple[Tree, Tree]:
    seen = engine.ask(view, CLIENT)
    return (
        engine.ask(clusters, seen.scope, seen.inbound, seen.place, seen.features),
        engine.ask(assignments, seen.scope, seen.place),
    )


def announced() -> Engine:
    proxy = proxy_from_node(CLIENT, {"LABELS": {"istio-locality": "us.east.a"}})
    assert isinstance(proxy, Proxy)
    engine = Engine()
    engine.apply([Put(PROXIES, (CLIENT,), proxy)])
    return engine


@settings(max_examples=150)
@given(st.lists(st.tuples(CHANGES, st.booleans()), max_size=12))
def test_edits_lead_where_a_cold_start_does(steps):
    warm = announced()
    last = compiled(warm)
    state = {}
    for changes, asks in steps:
        warm.apply(changes)
        state.update({(put.kind, put.key): put for put in changes})
        if asks:
            now = compiled(warm)
            sent = [_replayed(old, new) for old, new in zip(last, now, strict=True)]
            assert sent == [{one.name: bytes(one) for one in tree} for tree in now]
            last = now
    cold = announced()
    cold.apply(reversed(state.values()))
    assert [list(map(bytes, tree)) for tree in compiled(warm)] == [list(map(bytes, tree)) for tree in compiled(cold)]


@settings(max_examples=50)
@given(st.lists(CHANGES, max_size=12))
def test_names_are_unique_and_every_cluster_that_asks_is_answered(steps):
    engine = announced()
    for changes in steps:
        engine.apply(changes)
    made, answered = compiled(engine)
    names = [one.name for one in made]
    assert len(set(names)) == len(names)
    asking = [one.name for one in made if Cluster.FromString(bytes(one)).HasField("eds_cluster_config")]
    assert sorted(asking) == sorted(one.name for one in answered)


def _replayed(old: Tree, new: Tree) -> dict[str, bytes]:
    """What a client has that had the old and is sent the differences."""
    changed, gone = differences(old, new)
    has = {one.name: bytes(one) for one in old if one.name not in gone}
    return has | {name: bytes(one) for name, one in changed.items()}
