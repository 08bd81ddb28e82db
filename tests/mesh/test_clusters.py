"""Hosts that are reached within their own cluster alone."""

import pytest

from pilotpy.engine import query
from pilotpy.mesh.clusters import cluster_local_hosts, keeps_to_its_cluster
from pilotpy.model.mesh_config import ProxyConfig, ServiceSettings, Settings
from tests.mesh.world import World

SYSTEM = "*.kube-system.svc.cluster.local"
API = "kubernetes.default.svc.cluster.local"
OURS = "istiod.istio-system.svc.cluster.local"


def setting(local, *hosts):
    return ServiceSettings(settings=Settings(cluster_local=local), hosts=hosts)


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        pytest.param((), {SYSTEM, API, OURS}, id="by default"),
        pytest.param(
            (setting(True, "*.shop.svc.cluster.local"),), {SYSTEM, API, OURS, "*.shop.svc.cluster.local"}, id="and more"
        ),
        pytest.param((setting(False, API),), {SYSTEM, OURS}, id="without a default that is overridden"),
        pytest.param((setting(False, "dns.kube-system.svc.cluster.local"),), {API, OURS}, id="a part of it will do"),
        pytest.param((ServiceSettings(hosts=(API,)),), {SYSTEM, OURS}, id="no settings are false ones"),
        pytest.param((setting(False, "a.example"),), {SYSTEM, API, OURS}, id="what is local nowhere changes nothing"),
        pytest.param((setting(False, API), setting(True, API)), {SYSTEM, API, OURS}, id="what is said outright counts"),
    ],
)
def test_some_hosts_keep_to_their_cluster(settings, hosts):
    world = World()
    world.settings(service_settings=settings)
    assert set(world.engine.ask(cluster_local_hosts)) == hosts


def test_the_control_plane_is_local_wherever_it_is():
    world = World()
    world.settings(default_config=ProxyConfig(discovery_address="plane.mesh.svc:15012"))
    assert "plane.mesh.svc.cluster.local" in world.engine.ask(cluster_local_hosts)


@pytest.mark.parametrize(("host", "local"), [("dns.kube-system.svc.cluster.local", True), (API, True), ("a.b", False)])
def test_a_host_keeps_to_its_cluster(host, local):
    assert World().engine.ask(query(lambda q: keeps_to_its_cluster(q, host))) is local
