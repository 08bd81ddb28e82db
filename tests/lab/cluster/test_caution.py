"""Which clusters a lab keeps away from, and which namespaces take part."""

import pytest

from pilotpy.lab.cluster.caution import inhabitants, takes_part
from pilotpy.model.resource import Meta, Ref, Resource


def node(name, *, ready=True, **labels):
    condition = {"type": "Ready", "status": "True" if ready else "Unknown"}
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [condition]}}


def lease(name, holder="somebody"):
    return {"metadata": {"name": name}, "spec": {"holderIdentity": holder}}


def pod(node_name, phase="Running"):
    spec = {"nodeName": node_name} if node_name else {}
    return {"metadata": {"namespace": "shop", "name": "web"}, "spec": spec, "status": {"phase": phase}}


OURS = node("pilotpy-lab", **{"lab.pilotpy.dev/node": "true"})


@pytest.mark.parametrize(
    ("nodes", "leases", "pods", "said"),
    [
        pytest.param([], [], [], "", id="an API server with nothing in it is nobody's"),
        pytest.param([OURS], [], [pod("pilotpy-lab")], "", id="what an earlier lab left is ours"),
        pytest.param([], [lease("kube-controller-manager")], [], "controller manager", id="somebody makes Pods there"),
        pytest.param([], [lease("kube-scheduler")], [], "scheduler", id="somebody schedules Pods there"),
        pytest.param([], [lease("kube-scheduler", "")], [], "", id="who led once has left"),
        pytest.param([], [lease("apiserver-x1")], [], "", id="the API server's own Lease says nothing"),
        pytest.param([node("worker")], [], [], "worker", id="a node is ready"),
        pytest.param([node("worker", ready=False)], [], [], "", id="a node that is not ready runs nothing"),
        pytest.param([node("pilotpy-lab")], [], [], "no lab's", id="somebody's node has the name of ours"),
        pytest.param([], [], [pod("worker")], "shop/web", id="a Pod runs somewhere"),
        pytest.param([], [], [pod("", "Pending")], "", id="a Pod that waits for a scheduler may be ours"),
    ],
)
def test_a_cluster_is_known_by_who_lives_there(nodes, leases, pods, said):
    found = "; ".join(inhabitants(nodes, leases, pods))
    assert (said in found) if said else not found


@pytest.mark.parametrize(
    ("name", "label", "own", "somebodys"),
    [
        pytest.param("shop", "", True, False, id="without a label only on an API server of the lab's own"),
        pytest.param("shop", "enabled", True, True, id="with the label everywhere"),
        pytest.param("shop", "disabled", False, False, id="where it says no, nowhere"),
        pytest.param("kube-system", "enabled", False, False, id="not where a cluster keeps its own"),
        pytest.param("istio-system", "enabled", False, False, id="nor where the control plane is"),
    ],
)
def test_a_namespace_takes_part_where_it_was_told_to(name, label, own, somebodys):
    labels = {"istio-injection": label} if label else {}
    namespace = Resource(Ref("Namespace", "", name), Meta(name=name, labels=labels), None)
    assert takes_part(namespace, everywhere=True) is own
    assert takes_part(namespace, everywhere=False) is somebodys
