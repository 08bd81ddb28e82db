"""By which addresses clients of each cluster know a service: in names, in routes, and where they listen."""

from __future__ import annotations

import pytest

from pilotpy.compile.names import name_table
from pilotpy.compile.routes import routes
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.compile.listening import entry, listened, service
from tests.mesh.networks import elsewhere
from tests.mesh.world import World

HERE = "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n---\n"
HOST = "a.default.svc.cluster.local"


def a(address: str, name: str = "a") -> str:
    return service(name, "http:80", "tcp:81", address=address)


BOTH = elsewhere("east", HERE + a("10.96.0.2"), home=a("10.96.0.1"))
SWAPPED = elsewhere(
    "east", HERE + a("10.96.0.2") + "---" + a("10.96.0.1", "b"), home=a("10.96.0.1") + "---" + a("10.96.0.2", "b")
)
AT_HOME = elsewhere("east", HERE, home=a("10.96.0.1"))
IN_EAST = elsewhere("east", HERE + a("10.96.0.2"))
TAKEN = elsewhere("east", HERE + a("10.96.0.2"), home=a("10.96.0.2", "b"))
HEADLESS = elsewhere("east", HERE + a("None"), home=a("None"))


def named(world: World, **metadata: str) -> list[str]:
    view = world.view("client.default", **metadata)
    (only,) = world.engine.ask(name_table, view.scope, view.place)
    table = NameTable.FromString(bytes(only)).table
    return list(table[HOST].ips) if HOST in table else []


def routed(world: World, **metadata: str) -> list[str]:
    view = world.view("client.default", **metadata)
    tables = [RouteConfiguration.FromString(bytes(one)) for one in world.engine.ask(routes, view.scope, view.listening)]
    hosts = [host for table in tables if table.name == "80" for host in table.virtual_hosts if HOST in host.domains]
    return [domain for host in hosts for domain in host.domains if domain[0].isdigit()]


def bound(world: World, **metadata: str) -> list[str]:
    found = listened(world, **metadata).values()
    places = [(one.address.socket_address, one.filter_chains) for one in found]
    return sorted(
        at.address
        for at, chains in places
        if at.port_value == 81
        and any(f"|{HOST}" in str(filter_.typed_config.value) for chain in chains for filter_ in chain.filters)
    )


@pytest.mark.parametrize(
    ("objects", "cluster", "address"),
    [
        pytest.param(BOTH, "", "10.96.0.1", id="at home, that of home"),
        pytest.param(BOTH, "Kubernetes", "10.96.0.1", id="also where the client says so"),
        pytest.param(BOTH, "east", "10.96.0.2", id="elsewhere, that of elsewhere"),
        pytest.param(BOTH, "unheard", "10.96.0.1", id="in a cluster that is not known, that of home"),
        pytest.param(SWAPPED, "east", "10.96.0.2", id="though it is another service's at home"),
        pytest.param(SWAPPED, "", "10.96.0.1", id="and at home though it is another service's elsewhere"),
        pytest.param(AT_HOME, "east", "10.96.0.1", id="of a service that is not there, that of home"),
        pytest.param(IN_EAST, "", "10.96.0.2", id="of a service that is only elsewhere, that of elsewhere"),
        pytest.param(TAKEN, "", None, id="unless that is somebody else's here"),
    ],
)
def test_a_service_is_known_by_an_address(objects, cluster, address):
    world, metadata = World(*objects), {"CLUSTER_ID": cluster} if cluster else {}
    expected = [address] if address else []
    assert named(world, **metadata) == expected
    assert routed(world, **metadata) == expected
    assert bound(world, **metadata) == expected


def test_where_a_service_has_no_address_nothing_else_on_its_port_is_captured():
    listeners = listened(World(*TAKEN))
    assert not [one for one in listeners if one.endswith("0.0.0.0_81")]
    assert "0.0.0.0_80" in listeners


def test_a_headless_service_has_no_address_anywhere():
    world = World(*HEADLESS)
    assert named(world, CLUSTER_ID="east") == routed(world, CLUSTER_ID="east") == []


def test_a_service_entry_has_its_addresses_everywhere():
    world = World(*BOTH, entry("x", "x.example", "90 TCP", "10.9.0.1", resolution="NONE"))
    assert [one for one in listened(world, CLUSTER_ID="east") if one.startswith("10.9.0.1")] == ["10.9.0.1_90"]


def test_an_address_that_changes_elsewhere_changes_nothing_at_home():
    world = World(*BOTH)
    view = world.view("client.default")
    before = world.engine.ask(routes, view.scope, view.listening)
    world.put(*[one for one in elsewhere("east", a("10.96.0.3"), home=a("10.96.0.1")) if "@" in one.ref.name])
    assert world.engine.ask(routes, view.scope, view.listening) is before
    assert named(world, CLUSTER_ID="east") == ["10.96.0.3"]
