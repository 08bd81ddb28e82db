"""However a folder came to be what it is, it says the same."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy.sources.folder import Folder
from tests.sources.test_stand_in import node, pod, service, workload

SLICE = (
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
    "metadata: {name: mine, labels: {kubernetes.io/service-name: a}}\nendpoints: [{addresses: [10.1.1.1]}]\n"
)
MAKER = ", ownerReferences: [{kind: ReplicaSet, name: a-77, controller: true}]"
MESH = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: '%s'}\n"

DOCUMENTS = [
    service("a"),
    service("a", "selector: {app: b}, ports: [{port: 80}]"),
    service("b", "clusterIP: None, selector: {app: a}"),
    service("c", "clusterIP: 10.96.7.7, ports: [{port: 80}]"),
    workload(),
    workload(spec="  replicas: 3\n"),
    workload(image="two"),
    workload("StatefulSet", "b", spec="  replicas: 2\n  serviceName: b\n"),
    workload("DaemonSet", "c"),
    pod("p"),
    pod("p", ip="10.44.9.9"),
    pod("p", labels="app: b"),
    pod("a-77-x", MAKER, labels="app: a, pod-template-hash: '77'"),
    node("n1"),
    node("n2", "west"),
    SLICE,
    MESH % "trustDomain: one",
    MESH % "trustDomain: two",
]

NAMED = re.compile(r"kind: (\w+)\n(?:.*\n)?metadata: {name: ([\w-]+)")

files = st.dictionaries(
    st.sampled_from(["a.yaml", "b.yaml", "x/c.yaml", "x/y/d.yml"]),
    st.lists(st.sampled_from(DOCUMENTS), max_size=5).map("".join),
)


def write(root: Path, said: dict[str, str]) -> None:
    for path in root.rglob("*.y*ml"):
        if str(path.relative_to(root)) not in said:
            path.unlink()
    for name, text in said.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def said_by(folder, objects):
    for ref, _, old, new in folder.load():
        assert objects.pop(ref, None) == old
        if new is not None:
            objects[ref] = new
    return objects


@settings(max_examples=50)
@given(st.lists(files, min_size=2, max_size=5))
def test_a_folder_that_was_edited_says_what_it_says_when_it_is_read_anew(states):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        edited, objects = Folder([root]), {}
        for state in states:
            write(root, state)
            said_by(edited, objects)
        fresh = Folder([root])
        assert objects == said_by(fresh, {})
        assert edited.findings == fresh.findings
        assert {ref: edited.where(ref, "spec") for ref in objects} == {ref: fresh.where(ref, "spec") for ref in objects}


@settings(max_examples=50)
@given(st.sets(st.integers(0, len(DOCUMENTS) - 1)), st.randoms(use_true_random=False))
def test_the_order_of_files_is_irrelevant(chosen, chance):
    one_of_each = {NAMED.search(DOCUMENTS[i]).groups(): DOCUMENTS[i] for i in sorted(chosen)}

    def read(order):
        with tempfile.TemporaryDirectory() as place:
            write(Path(place), {f"{i}.yaml": text for i, text in enumerate(order)})
            return said_by(Folder([place]), {})

    documents = list(one_of_each.values())
    expected = read(documents)
    chance.shuffle(documents)
    assert read(documents) == expected
