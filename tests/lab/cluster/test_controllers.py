"""What a lab writes to an API server in place of the controllers of a cluster."""

from collections import defaultdict

import pytest

from pilotpy.lab.cluster.node import NODE
from tests.lab.cluster.world import World

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
TEMPLATE = """
  template:
    metadata: {labels: {app: a}, annotations: {note: mine}}
    spec:
      containers: [{name: app, image: "IMAGE", ports: [{name: web, containerPort: 8080}]}]
      volumes: [{name: v, configMap: {name: c}}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, clusterIP: 10.96.1.1, ports: [{port: 80, targetPort: web}]}
"""


def workload(kind="Deployment", name="a", spec="", image="one"):
    group = "batch" if kind == "Job" else "apps"
    selector = "" if kind == "Job" else "\n  selector: {matchLabels: {app: a}}"
    template = TEMPLATE.replace("IMAGE", image)
    if kind == "Job":
        template = template.replace("      volumes", "      restartPolicy: Never\n      volumes")
    return f"apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:{selector}\n  {spec}{template}"


def pod(name="p", node=""):
    where = f"nodeName: {node}, " if node else ""
    containers = "containers: [{name: app, image: one}]"
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{where}{containers}}}\n"


def image(version):
    container = {"name": "app", "image": version, "ports": [{"name": "web", "containerPort": 8080}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def conditions(one):
    return {each["type"]: each["status"] for each in one["status"]["conditions"]}


@pytest.fixture
def world():
    return World().create(NAMESPACE)


def test_a_pod_has_all_that_its_template_says_and_belongs_to_a_replica_set_of_its_deployment(world):
    world.create(workload())
    (name,) = world.names("Pod")
    made = world.one("Pod", name)
    assert made["spec"]["volumes"] == [{"name": "v", "configMap": {"name": "c"}}]
    assert made["spec"]["nodeName"] == NODE
    assert made["metadata"]["annotations"]["note"] == "mine"
    owner = made["metadata"]["ownerReferences"][0]
    replica_set = world.one("ReplicaSet", owner["name"])
    assert owner["uid"] == replica_set["metadata"]["uid"]
    assert replica_set["metadata"]["ownerReferences"][0]["name"] == "a"
    assert made["metadata"]["labels"].items() >= replica_set["spec"]["selector"]["matchLabels"].items()


@pytest.mark.parametrize(
    ("kind", "spec", "count"),
    [
        pytest.param("Deployment", "replicas: 3", 3, id="a Deployment has as many Pods as it wants"),
        pytest.param("ReplicaSet", "replicas: 2", 2, id="so has a ReplicaSet that somebody wrote"),
        pytest.param("StatefulSet", "{replicas: 2, serviceName: a}"[1:-1].replace(", ", "\n  "), 2, id="a StatefulSet"),
        pytest.param("DaemonSet", "", 1, id="a DaemonSet has one, as there is one node"),
        pytest.param("Job", "", 1, id="a Job"),
    ],
)
def test_every_workload_gets_its_pods_and_is_told_how_many_are_ready(world, kind, spec, count):
    world.create(workload(kind, spec=spec))
    assert len(world.names("Pod")) == count
    status = world.one(kind, "a")["status"]
    assert status[{"Job": "ready", "DaemonSet": "numberReady"}.get(kind, "readyReplicas")] == count
    if kind != "Job":
        assert status["observedGeneration"] == 1
    owners = {world.one("Pod", name)["metadata"]["ownerReferences"][0]["kind"] for name in world.names("Pod")}
    assert owners == {"ReplicaSet" if kind == "Deployment" else kind}


def test_a_pod_that_runs_is_ready_with_the_address_that_it_runs_under(world):
    world.create(workload())
    (wanted,) = world.controllers.wanted()
    status = world.one("Pod", wanted.ref.name)["status"]
    assert (status["phase"], status["podIP"]) == ("Running", wanted.spec.status.pod_ip)
    assert conditions({"status": status})["Ready"] == "True"
    assert status["containerStatuses"][0]["ready"]


def test_a_service_gets_a_slice_that_belongs_to_it(world):
    world.create(f"{SERVICE}---\n{workload()}")
    (name,) = world.names("EndpointSlice")
    made = world.one("EndpointSlice", name)
    assert made["endpoints"][0]["conditions"]["ready"]
    assert made["metadata"]["ownerReferences"][0]["name"] == "a"
    world.delete("Service", "a")
    assert world.names("EndpointSlice") == []


def test_a_rollout_replaces_the_pods_keeps_the_old_replica_set_and_counts_revisions(world):
    world.create(workload(spec="replicas: 2"))
    before = set(world.names("Pod"))
    world.patch("Deployment", "a", image("two"))
    assert len(world.names("Pod")) == 2
    assert not before & set(world.names("Pod"))
    sets = {
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: one["spec"]["replicas"]
        for one in (world.one("ReplicaSet", name) for name in world.names("ReplicaSet"))
    }
    assert sets == {"1": 0, "2": 2}
    status = world.one("Deployment", "a")["status"]
    assert status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == 2
    assert status["observedGeneration"] == world.one("Deployment", "a")["metadata"]["generation"]


def test_a_pod_keeps_the_image_that_it_began_with_until_it_is_replaced(world):
    world.create(workload(spec="replicas: 2")).patch("Deployment", "a", image("two"))
    images = defaultdict(set)
    for write in world.written:
        if write.ref.kind == "Pod":
            for one in write.body.get("spec", {}).get("containers", ()):
                images[write.ref].add(one["image"])
            for one in write.body.get("status", {}).get("containerStatuses", ()):
                images[write.ref].add(one["image"])
    assert len(images) == 4
    assert all(len(found) == 1 for found in images.values())


def test_what_is_rolled_back_is_the_newest_revision_again(world):
    world.create(workload()).patch("Deployment", "a", image("two")).patch("Deployment", "a", image("one"))
    sets = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: (
            one["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
            one["spec"]["replicas"],
        )
        for one in (world.one("ReplicaSet", name) for name in world.names("ReplicaSet"))
    }
    assert sets == {"one": ("3", 1), "two": ("2", 0)}


def test_of_replica_sets_that_were_as_many_are_kept_as_the_deployment_says(world):
    world.create(workload(spec="revisionHistoryLimit: 1"))
    for version in ("two", "three", "four"):
        world.patch("Deployment", "a", image(version))
    kept = [world.one("ReplicaSet", name)["spec"]["template"] for name in world.names("ReplicaSet")]
    assert {one["spec"]["containers"][0]["image"] for one in kept} == {"three", "four"}


def test_a_pod_that_was_refused_is_written_again_while_it_is_wanted(world):
    world.refused = {"Pod"}
    world.create(workload())
    assert world.names("Pod") == []
    (ref,) = world.running
    world.refused = set()
    world._take(world.controllers.again(ref))
    world.settle()
    assert conditions(world.one("Pod", ref.name))["Ready"] == "True"
    assert world.controllers.again(ref) == [], "it is there"
    world.delete("Deployment", "a")
    assert world.controllers.again(ref) == [], "nobody wants it"


def test_a_pod_that_somebody_deletes_is_replaced(world):
    world.create(workload())
    (name,) = world.names("Pod")
    uid = world.one("Pod", name)["metadata"]["uid"]
    world.delete("Pod", name)
    (replacement,) = world.names("Pod")
    assert world.one("Pod", replacement)["metadata"]["uid"] != uid
    assert len(world.running) == 1


def test_a_pod_that_is_deleted_without_waiting_is_ended_and_replaced(world):
    world.create(workload())
    (name,) = world.names("Pod")
    ref = next(iter(world.running))
    uid = world.one("Pod", name)["metadata"]["uid"]
    world._remove(ref, world.objects[ref], at_once=True)  # `kubectl delete --force`
    world.settle()
    (replacement,) = world.names("Pod")
    assert world.one("Pod", replacement)["metadata"]["uid"] != uid


def test_a_pod_that_somebody_writes_is_bound_and_runs_until_they_delete_it(world):
    world.create(pod())
    assert world.one("Pod", "p")["spec"]["nodeName"] == NODE
    assert conditions(world.one("Pod", "p"))["Ready"] == "True"
    assert world.one("Pod", "p")["metadata"]["labels"] == {"security.istio.io/tlsMode": "istio"}
    world.delete("Pod", "p")
    assert world.names("Pod") == []
    assert not world.running


def test_a_deployment_takes_all_that_was_made_of_it_with_it(world):
    world.create(f"{SERVICE}---\n{workload()}")
    world.delete("Deployment", "a")
    assert world.names("Pod") == world.names("ReplicaSet") == world.names("EndpointSlice") == []
    assert not world.running


def test_a_deployment_that_waits_for_its_pods_is_let_go_after_them(world):
    world.create(workload())
    world.delete("Deployment", "a", foreground=True)
    assert world.names("Deployment") == world.names("Pod") == []


def test_a_job_whose_pod_came_to_its_end_is_complete_and_the_pod_stays_to_be_looked_at(world):
    world.create(workload("Job"))
    (name,) = world.names("Pod")
    world.ends.add(name)
    world.settle()
    assert world.one("Pod", name)["status"]["phase"] == "Succeeded"
    assert conditions(world.one("Job", "a"))["Complete"] == "True"
    assert world.one("Job", "a")["status"]["succeeded"] == 1
    world.begin()
    world.settle()
    assert world.names("Pod") == [name], "another lab does not run it again"
    world.delete("Job", "a")
    assert world.names("Pod") == []


def test_pods_that_an_earlier_lab_left_are_made_anew_and_those_that_somebody_wrote_run_again(world):
    world.create(f"{workload()}---\n{pod()}")
    before = {name: world.one("Pod", name)["metadata"]["uid"] for name in world.names("Pod")}
    world.begin()
    world.settle()
    after = {name: world.one("Pod", name)["metadata"]["uid"] for name in world.names("Pod")}
    assert before.keys() == after.keys()
    assert after["p"] == before["p"]
    assert not {uid for name, uid in before.items() if name != "p"} & set(after.values())
    assert len(world.running) == 2


def test_nothing_is_written_about_a_namespace_that_takes_no_part_until_it_is_labelled():
    world = World(everywhere=False).create(f"{NAMESPACE}---\n{SERVICE}---\n{workload()}---\n{pod()}")
    assert world.written == []
    world.patch("Namespace", "default", {"metadata": {"labels": {"istio-injection": "enabled"}}}, namespace="")
    assert len(world.running) == 2
    world.patch("Namespace", "default", {"metadata": {"labels": {"istio-injection": None}}}, namespace="")
    assert not world.running


def test_what_was_left_in_a_namespace_that_takes_no_part_is_left_there():
    owner = "ownerReferences: [{kind: Deployment, name: gone, uid: nobody, controller: true}]"
    left = workload("ReplicaSet").replace("{name: a}", f"{{name: a, {owner}}}", 1)
    held = workload("Deployment", "b").replace(
        "{name: b}", '{name: b, deletionTimestamp: "2030-01-01T00:00:00Z", finalizers: [orphan]}', 1
    )
    world = World(everywhere=False).create(f"{NAMESPACE}---\n{left}---\n{held}")
    assert world.written == []


def test_pods_of_other_nodes_are_left_alone(world):
    world.create(pod("theirs", node="elsewhere"))
    world.delete("Pod", "theirs")
    assert world.names("Pod") == ["theirs"], "its own kubelet lets it go"
    assert not [write for write in world.written if write.ref.name == "theirs"]


def test_a_namespace_has_an_account_for_pods_that_name_none(world):
    assert world.names("ServiceAccount") == ["default"]


def test_at_rest_nothing_is_written(world):
    world.create(f"{SERVICE}---\n{workload()}---\n{pod()}")
    before = len(world.written)
    world.patch("Deployment", "a", {"metadata": {"annotations": {"a": "b"}}})
    assert len(world.written) == before
