"""How a cluster's Pods come and go while somebody runs them and tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.model.pod import PodSpec
from pilotpy.model.workload import Deployment, DeploymentStrategy, PodTemplate, RollingUpdate, Selector, TemplateMeta
from pilotpy.sources.rollout import Allowance, PodState, allowance
from tests.sources.cluster import Cluster, is_ready
from tests.sources.test_stand_in import node, pod, service, workload

ROLLING = "  replicas: {}\n  strategy: {{rollingUpdate: {{maxSurge: {}, maxUnavailable: {}}}}}\n"


@pytest.fixture
def cluster():
    return Cluster(observed=True)


def names(image, cluster):
    return [n for n, one in cluster.wanted.items() if one.spec.containers[0].image == image]


class TestLife:
    def test_a_pod_is_there_from_when_it_was_reported_until_it_is_gone(self, cluster):
        cluster.write(service() + workload())
        (name,) = cluster.wanted
        assert cluster.pods == {}
        cluster.report(name, PodState.STARTING)
        assert not is_ready(cluster.pods[name])
        assert (list(cluster.endpoints("a")), cluster.ready("a")) == ([name], set())
        cluster.report(name, PodState.READY)
        assert cluster.ready("a") == {name}
        cluster.report(name, PodState.STARTING)
        assert cluster.ready("a") == set()
        cluster.report(name, PodState.GONE)
        assert cluster.pods == {}
        assert list(cluster.wanted) == [name]

    def test_it_has_the_address_that_it_was_wanted_with(self, cluster):
        cluster.write(workload())
        ((name, wanted),) = cluster.wanted.items()
        cluster.report(name, PodState.READY)
        assert cluster.pods[name].spec.status.pod_ip == wanted.spec.status.pod_ip != ""

    def test_clients_hear_that_it_ends_before_it_ends(self, cluster):
        cluster.write(service() + workload())
        cluster.run_all()
        (name,) = cluster.wanted
        cluster.remove("Deployment", "a")
        assert cluster.wanted == {}
        assert cluster.pods[name].meta.deleted
        assert cluster.ready("a") == set()
        cluster.report(name, PodState.READY)  # an old report does not bring it back
        assert cluster.ready("a") == set()
        cluster.report(name, PodState.GONE)
        assert cluster.pods == {}

    def test_a_pod_that_nobody_began_needs_no_end(self, cluster):
        cluster.write(workload(spec="  replicas: 3\n"))
        cluster.write(workload(spec="  replicas: 1\n"))
        assert len(cluster.wanted) == 1

    def test_reports_of_strangers_are_passed_over(self, cluster):
        assert cluster.report("nobody", PodState.READY) == []

    def test_a_job_that_has_run_is_not_run_again(self, cluster):
        text = workload("Job").replace("    spec:\n", "    spec:\n      restartPolicy: Never\n")
        cluster.write(text)
        (name,) = cluster.wanted
        cluster.report(name, PodState.READY)
        cluster.report(name, PodState.GONE)
        cluster.write(node("n1"))
        assert cluster.wanted == {}

    def test_a_written_pod_is_run_as_well_but_its_status_is_the_kubelets(self, cluster):
        cluster.write(pod("p", ip="10.1.2.3"))
        assert cluster.wanted["p"].spec.status.pod_ip.startswith("10.44.")

    def test_of_a_dump_the_makers_count(self, cluster):
        owner = ", ownerReferences: [{kind: ReplicaSet, name: a-77, controller: true}]"
        cluster.write(workload() + pod("a-77-x", owner, labels="app: a, pod-template-hash: '77'"))
        assert [name.startswith("a-77") for name in cluster.wanted] == [False]

    def test_of_a_dump_the_endpoints_of_a_controller_do_not_count(self, cluster):
        stale = (
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
            "metadata: {name: a-x, labels: {kubernetes.io/service-name: a,"
            " endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}\n"
            "endpoints: [{addresses: [10.1.1.1]}]\n"
        )
        cluster.write(stale)
        cluster.write(service() + workload())
        cluster.run_all()
        assert "a-x" not in cluster.of("EndpointSlice")
        assert len(cluster.ready("a")) == 1

    def test_of_two_pods_of_one_name_the_later_waits_for_the_first_to_go(self, cluster):
        cluster.write(pod("a-0", labels="app: b"))
        cluster.write(workload("StatefulSet", spec="  replicas: 1\n"))
        cluster.run_all()
        assert cluster.pods["a-0"].meta.labels["app"] == "b"
        cluster.remove("Pod", "a-0")
        cluster.run_all()
        assert cluster.pods["a-0"].meta.labels["app"] == "a"


class TestReplacing:
    def test_new_pods_are_ready_before_old_ones_go(self, cluster):
        cluster.write(service() + workload(image="old"))
        cluster.run_all()
        (old,) = cluster.wanted
        cluster.write(workload(image="new"))
        (new,) = names("new", cluster)
        assert cluster.ready("a") == {old}
        cluster.report(new, PodState.STARTING)
        assert old in cluster.wanted
        cluster.report(new, PodState.READY)
        assert cluster.ready("a") == {new}
        assert list(cluster.wanted) == [new]

    def test_a_new_version_that_never_gets_ready_leaves_the_old_one(self, cluster):
        cluster.write(workload(image="old", spec=ROLLING.format(4, 1, 1)))
        cluster.run_all()
        cluster.write(workload(image="new", spec=ROLLING.format(4, 1, 1)))
        for name in names("new", cluster):
            cluster.report(name, PodState.STARTING)
        assert (len(names("old", cluster)), len(names("new", cluster))) == (3, 2)

    def test_going_back_in_the_middle_keeps_what_is_left(self, cluster):
        cluster.write(workload(image="old", spec=ROLLING.format(4, 1, 1)))
        cluster.run_all()
        cluster.write(workload(image="new", spec=ROLLING.format(4, 1, 1)))
        left = names("old", cluster)
        cluster.write(workload(image="old", spec=ROLLING.format(4, 1, 1)))
        assert set(left) <= set(names("old", cluster))
        cluster.run_all()
        assert len(names("old", cluster)) == len(cluster.wanted) == 4

    def test_recreate_ends_all_before_it_begins(self, cluster):
        recreate = "  replicas: 2\n  strategy: {type: Recreate}\n"
        cluster.write(workload(image="old", spec=recreate))
        cluster.run_all()
        first, second = cluster.wanted
        cluster.write(workload(image="new", spec=recreate))
        assert cluster.wanted == {}
        cluster.report(first, PodState.GONE)
        assert cluster.wanted == {}
        cluster.report(second, PodState.GONE)
        assert len(names("new", cluster)) == 2

    def test_a_stateful_set_replaces_one_at_a_time_from_the_last(self, cluster):
        cluster.write(workload("StatefulSet", image="old", spec="  replicas: 3\n"))
        cluster.run_all()
        cluster.write(workload("StatefulSet", image="new", spec="  replicas: 3\n"))
        assert names("old", cluster) == ["a-0", "a-1"]
        assert names("new", cluster) == []
        cluster.report("a-2", PodState.GONE)
        assert names("new", cluster) == ["a-2"]
        cluster.report("a-2", PodState.READY)
        assert names("old", cluster) == ["a-0"]

    def test_each_pod_of_a_stateful_set_waits_for_those_before_it(self, cluster):
        cluster.write(workload("StatefulSet", spec="  replicas: 3\n"))
        assert list(cluster.wanted) == ["a-0"]
        cluster.report("a-0", PodState.STARTING)
        assert list(cluster.wanted) == ["a-0"]
        cluster.report("a-0", PodState.READY)
        assert list(cluster.wanted) == ["a-0", "a-1"]

    def test_pods_of_a_parallel_stateful_set_wait_for_nobody(self, cluster):
        cluster.write(workload("StatefulSet", spec="  replicas: 3\n  podManagementPolicy: Parallel\n"))
        assert list(cluster.wanted) == ["a-0", "a-1", "a-2"]

    def test_an_edit_that_is_not_of_the_template_restarts_nothing(self, cluster):
        cluster.write(workload("StatefulSet") + node("n1"))
        cluster.run_all()
        cluster.write(node("n1", more="unschedulable: true") + node("n2"))
        assert list(cluster.wanted) == ["a-0"]
        assert cluster.pods["a-0"].spec.node_name == "n2"


def deployment(**rolling):
    template = PodTemplate(metadata=TemplateMeta(), spec=PodSpec())
    strategy = DeploymentStrategy(rolling_update=RollingUpdate(**rolling)) if rolling else None
    return Deployment(selector=Selector(), template=template, strategy=strategy)


@pytest.mark.parametrize(
    ("rolling", "size", "extra", "missing"),
    [
        ({}, 1, 1, 0),
        ({}, 4, 1, 1),
        ({}, 10, 3, 2),
        ({"max_surge": 2, "max_unavailable": 0}, 4, 2, 0),
        ({"max_surge": "50%", "max_unavailable": "50%"}, 3, 2, 1),
        ({"max_surge": 0, "max_unavailable": 0}, 4, 0, 1),
        ({"max_surge": "lots", "max_unavailable": -1}, 4, 1, 0),
    ],
)
def test_percents_of_surge_round_up_and_of_the_missing_down(rolling, size, extra, missing):
    assert allowance(deployment(**rolling), size) == Allowance(extra, missing)


@given(st.integers(1, 8), st.integers(0, 4), st.integers(0, 4), st.data())
def test_a_rolling_update_keeps_its_bounds_and_arrives(size, extra, missing, data):
    allowed = Allowance(extra, missing) if extra or missing else Allowance(0, 1)
    cluster = Cluster(observed=True)
    cluster.write(service() + workload(image="v0", spec=ROLLING.format(size, extra, missing)))
    cluster.run_all()
    image = 0
    for _ in range(data.draw(st.integers(0, 60))):
        choices = sorted(cluster.wanted.keys() | cluster.pods.keys())
        name = data.draw(st.sampled_from(["", *choices]))
        if not name:
            image += 1
            cluster.write(workload(image=f"v{image % 3}", spec=ROLLING.format(size, extra, missing)))
        elif name in cluster.wanted:
            known = cluster.pods.get(name)
            cluster.report(name, PodState.READY if known else PodState.STARTING)
        else:
            cluster.report(name, PodState.GONE)
        assert len(cluster.wanted) <= size + allowed.extra
        assert len(cluster.ready("a")) >= size - allowed.missing
    cluster.run_all()
    assert len(cluster.wanted) == size
    assert len(names(f"v{image % 3}", cluster)) == size
    assert cluster.ready("a") == set(cluster.wanted)
