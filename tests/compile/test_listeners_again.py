"""Listeners after changes: what an edit costs, and that it leads where a fresh start would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.compile.encoded import Tree
from pilotpy.compile.listeners import listeners
from pilotpy.engine import Engine, Put, Work
from pilotpy.mesh.kinds import SERVICES
from pilotpy.mesh.view import Features, Listening, Scope
from pilotpy.model.kubernetes import KubeService, KubeServicePort
from pilotpy.model.resource import Meta, Ref, Resource
from tests.compile.crowd import everything, home, nobody
from tests.compile.listening import entry, listened, service, slices
from tests.mesh.world import World


def put(number: int, *ports: KubeServicePort) -> Put:
    ref = Ref("Service", home(number), f"s{number}")
    spec = KubeService(ports=ports, cluster_ip=f"10.96.{number >> 8 & 255}.{number & 255}")
    return Put(SERVICES, (ref.namespace, ref.name), Resource(ref, Meta(name=ref.name, namespace=ref.namespace), spec))


def port(number: int, name: str) -> KubeServicePort:
    return KubeServicePort(port=number, name=name)


def asked(engine: Engine, scope: Scope) -> Tree:
    return engine.ask(listeners, scope, nobody(), Features(), Listening())


def work(services: int, name: str, *after: KubeServicePort) -> Work:
    """What it takes to follow one service's change of ports."""
    engine = Engine()
    engine.apply(put(number, port(80, name)) for number in range(services))
    asked(engine, everything())
    before = engine.work.copy()
    engine.apply([put(5, *after)])
    asked(engine, everything())
    return engine.work.since(before)


EDITS = {
    "an HTTP port is given another name": ("http", port(80, "http-b")),
    "a TCP port moves": ("tcp", port(81, "tcp")),
    "HTTP becomes TCP": ("http", port(80, "tcp")),
    "an undeclared port is declared": ("odd", port(80, "tcp")),
}


@pytest.mark.parametrize(("name", "after"), EDITS.values(), ids=EDITS)
def test_an_edit_takes_the_same_work_in_a_mesh_of_any_size(name, after):
    assert work(100, name, after) == work(1000, name, after)


def test_an_edit_of_one_service_makes_one_listener():
    engine = Engine()
    engine.apply(put(number, port(80, "tcp")) for number in range(50))
    before = {one.name: one for one in asked(engine, everything())}
    engine.apply([put(5, port(80, "odd"))])
    after = {one.name: one for one in asked(engine, everything())}
    assert [name for name in after if after[name] is not before.get(name)] == ["10.96.0.5_80"]


def test_clients_of_other_namespaces_share_every_listener():
    engine = Engine()
    engine.apply(put(number, port(80, "odd"), port(81, "http")) for number in range(50))
    ours, theirs = (list(asked(engine, everything()._replace(namespace=name))) for name in ("n0", "n1"))
    assert len(ours) == 53
    assert all(mine is yours for mine, yours in zip(ours, theirs, strict=True))


OBJECTS = (
    service("a", "http:80", "tcp:81"),
    service("a", "odd:80", "tcp:82"),
    service("a", "tcp:81", address="None"),
    slices("a", "tcp:81", "10.1.0.1"),
    slices("a", "tcp:81", "10.1.0.2", "10.1.0.3"),
    service("b", "tcp:81", "odd:82", address="None"),
    slices("b", "tcp:81", "10.1.0.1"),
    entry("e", "a.com", "443 TLS", "1.2.3.4"),
    entry("e", "a.com", "443 TLS"),
    entry("f", "b.com", "443 TLS", "1.2.3.4", created=2),
    entry("g", "c.com", "80 TCP", "10.0.0.0/8", resolution="NONE"),
    """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec:
  hosts: [a, a.com]
  tls: [{match: [{sniHosts: [x.a.com], sourceLabels: {app: client}}], route: [{destination: {host: b.com}}]}]
  tcp: [{match: [{port: 81}], route: [{destination: {host: a, subset: v1}}]}]
""",
    """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: default}
spec: {host: a, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s}}}, subsets: [{name: v1}]}
""",
    """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: default}
spec: {egress: [{port: {number: 81, protocol: TCP, name: t}, hosts: ["*/a.default.svc.cluster.local"]}, {hosts: [./*]}]}
""",
)
DROPPED = (
    ("Service", "default", "a"),
    ("EndpointSlice", "default", "a-1"),
    ("ServiceEntry", "default", "e"),
    ("VirtualService", "default", "v"),
    ("Sidecar", "default", "s"),
)


@given(st.lists(st.sampled_from([*OBJECTS, *DROPPED]), max_size=12))
def test_any_changes_lead_where_a_fresh_start_would(steps):
    world, left = World(), {}
    for step in steps:
        if isinstance(step, tuple):
            world.drop(*step)
            left.pop(step, None)
        else:
            world.put(step)
            left[_named(step)] = step
        listened(world, LABELS={"app": "client"})
    fresh = World(*left.values())
    assert listened(world, LABELS={"app": "client"}) == listened(fresh, LABELS={"app": "client"})


def _named(text: str) -> tuple[str, str, str]:
    words = text.split()
    return words[words.index("kind:") + 1], "default", words[words.index("{name:") + 1].rstrip(",")
