"""What an edit costs, counted: the same in a mesh of a thousand services and of ten thousand."""

import pytest

from pilotpy.compile.clusters import clusters
from pilotpy.compile.endpoints import assignments
from pilotpy.engine import Engine, Put, Work
from pilotpy.mesh.kinds import DESTINATION_RULES, MESH_CONFIG, MESH_NETWORKS, NAMESPACES, PEER_AUTHENTICATIONS, PODS
from pilotpy.mesh.networks import NETWORK
from pilotpy.mesh.view import Features, Place
from pilotpy.model import mesh_networks as model
from pilotpy.model.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    OutlierDetection,
    TCPSettings,
    TrafficPolicy,
)
from pilotpy.model.kubernetes import Namespace
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.pod import Pod, PodStatus
from pilotpy.model.resource import Meta, Ref, Resource
from tests.compile.crowd import NAMESPACES as HOMES
from tests.compile.crowd import crowd, endpoint_slice, everything, home, nobody
from tests.mesh.world import peer_authentication

SIZES = [pytest.param(1_000, id="a thousand services"), pytest.param(10_000, id="ten thousand")]
SCOPE = everything()


def compiled(engine: Engine, place: Place = Place()):  # noqa: B008 - immutable
    return (
        engine.ask(clusters, SCOPE, nobody(), place, Features()),
        engine.ask(assignments, SCOPE, place),
    )


def work(engine: Engine, *puts: Put) -> Work:
    engine.apply(puts)
    before = engine.work.copy()
    compiled(engine)
    return engine.work.since(before)


def rule(policy: TrafficPolicy) -> Put:
    ref = Ref("DestinationRule", home(7), "s7")
    meta = Meta(name=ref.name, namespace=ref.namespace)
    spec = DestinationRule(host=f"s7.{home(7)}.svc.cluster.local", traffic_policy=policy)
    return Put(DESTINATION_RULES, (ref.namespace, ref.name), Resource(ref, meta, spec))


def limit(connections: int) -> Put:
    return rule(TrafficPolicy(connection_pool=ConnectionPoolSettings(tcp=TCPSettings(max_connections=connections))))


@pytest.fixture(scope="module", params=SIZES)
def warm(request):
    engine = crowd(request.param, endpoints=1)
    engine.apply([limit(1)])
    compiled(engine)
    return engine


def test_an_endpoint_recomputes_one_assignment_and_no_cluster(warm):
    before = compiled(warm)
    done = work(warm, endpoint_slice(3, 1, first=9))
    after = compiled(warm)
    assert (done.runs, done.equal) == (7, 1), (
        "endpoints, assignment, joins: service, namespace, run, mesh; who may answer is as before"
    )
    assert after[0] == before[0]
    changed = [one.name for old, one in zip(before[1], after[1], strict=True) if old != one]
    assert changed == [f"outbound|80||s3.{home(3)}.svc.cluster.local"]


def test_a_rule_recomputes_the_cluster_of_its_host_alone(warm):
    work(warm, limit(1))
    before = compiled(warm)
    done = work(warm, limit(2))
    after = compiled(warm)
    assert (done.runs, done.equal) == (10, 3), (
        "the rule, its settings, a cluster, its joins; what it says of hosts, subsets and places is equal"
    )
    changed = [one.name for old, one in zip(before[0], after[0], strict=True) if old != one]
    assert changed == [f"outbound|80||s7.{home(7)}.svc.cluster.local"]
    assert after[1] == before[1]


def test_what_depends_on_the_place_moves_from_one_branch_to_another(warm):
    work(warm, rule(TrafficPolicy()))
    before = compiled(warm)[1]
    done = work(warm, rule(TrafficPolicy(outlier_detection=OutlierDetection())))
    after = compiled(warm)[1]
    assert (done.runs, done.equal) == (19, 3)
    assert {one.name for one in after} == {one.name for one in before}


def test_a_setting_of_the_mesh_that_no_cluster_reads_recomputes_no_cluster(warm):
    before = compiled(warm)
    done = work(warm, Put(MESH_CONFIG, ("",), MeshConfig(access_log_file="/dev/stdout")))
    after = compiled(warm)
    assert done.runs - done.equal <= 1, "the settings themselves"
    assert after[0] is before[0]
    assert after[1] is before[1]


def insisting(namespace: str, mode: str) -> Put:
    policy = peer_authentication(namespace, "all", mode)
    return Put(PEER_AUTHENTICATIONS, (namespace, "all"), policy)


def test_a_namespace_that_insists_on_mutual_tls_recomputes_no_cluster(warm):
    before = compiled(warm)
    done = work(warm, insisting(home(3), "STRICT"))
    after = compiled(warm)
    assert (done.runs, done.equal) == (2, 1), "its mode, and that clients speak mutual TLS to it, as before"
    assert after[0] is before[0]
    assert after[1] is before[1]
    work(warm, insisting(home(3), "UNSET"))


def test_a_namespace_that_takes_plaintext_recomputes_its_own_clusters_alone(warm, request):
    services = request.node.callspec.params["warm"] // HOMES
    before = compiled(warm)
    done = work(warm, insisting(home(3), "DISABLE"))
    after = compiled(warm)
    changed = {one.name for old, one in zip(before[0], after[0], strict=True) if old != one}
    assert len(changed) == services
    assert all(name.endswith(f".{home(3)}.svc.cluster.local") for name in changed)
    assert done.runs == 2 * services + 5, "each cluster and its service; two modes, the joins of part, run and mesh"
    assert after[1] is before[1]
    work(warm, insisting(home(3), "UNSET"))


def server(account: str, number: int = 1, **labels: str) -> Put:
    """A Pod behind an endpoint of s3."""
    address = f"10.0.3.{number}"
    ref = Ref("Pod", home(3), f"p{number}")
    meta = Meta(name=ref.name, namespace=ref.namespace, labels=labels)
    spec = Pod(service_account_name=account, status=PodStatus(pod_ip=address))
    return Put(PODS, (ref.namespace, ref.name), Resource(ref, meta, spec))


def test_an_account_that_serves_too_recomputes_the_cluster_that_must_know_it(warm):
    work(warm, endpoint_slice(3, 1))
    before = compiled(warm)
    work(warm, server("somebody"))
    after = compiled(warm)
    changed = [one.name for old, one in zip(before[0], after[0], strict=True) if old != one]
    assert changed == [f"outbound|80||s3.{home(3)}.svc.cluster.local"]
    done = work(warm, server("somebody", version="v2"))
    assert compiled(warm)[0] is after[0], "who may answer is as before"
    assert (done.runs, done.equal) == (8, 1)


def on_a_network(network: str) -> list[Put]:
    """All of the mesh is on a network, and who is not comes through a gateway; "": there is none."""
    where = model.MESH_NETWORKS
    root = Ref("Namespace", "", "istio-system")
    labels = {NETWORK: network} if network else {}
    ways = (model.IstioNetworkGateway(address="203.0.113.9", port=15443),)
    known = {network: model.Network(gateways=ways)} if network else {}
    return [
        Put(NAMESPACES, ("", root.name), Resource(root, Meta(name=root.name, labels=labels), Namespace())),
        Put(
            MESH_NETWORKS,
            (where.namespace, where.name),
            Resource(where, Meta(name=where.name), model.MeshNetworks(networks=known)),
        ),
    ]


def test_behind_a_gateway_too_an_endpoint_recomputes_one_assignment_and_no_cluster(warm):
    speaks = {"security.istio.io/tlsMode": "istio"}
    work(warm, *on_a_network("far"), server("somebody", **speaks), server("somebody", 2, **speaks))
    work(warm, endpoint_slice(3, 1))
    before = compiled(warm)
    done = work(warm, endpoint_slice(3, 2))
    after = compiled(warm)
    assert (done.runs, done.equal) == (8, 2), (
        "endpoints, assignment, its Pod, joins: part, run, mesh; who may answer and where they are is as before"
    )
    assert after[0] == before[0]
    changed = [one.name for old, one in zip(before[1], after[1], strict=True) if old != one]
    assert changed == [f"outbound|80||s3.{home(3)}.svc.cluster.local"]
    work(warm, *on_a_network(""), server(""), server("", 2))
