"""Which Pods have a proxy beside them, where no injector says."""

import pytest

from pilotpy.sources.change import Change, Origin
from pilotpy.sources.injection import TLS_MODE
from pilotpy.sources.stand_in import StandIn
from tests.mesh.world import resources

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: a, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: a}}}}
  template: {{metadata: {{labels: {{app: a{labels}}}, annotations: {{{annotations}}}}}, spec: {spec}}}
"""
NAMESPACE = "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"
ENABLED, DISABLED = "istio-injection: enabled", "istio-injection: disabled"
YES, NO = 'sidecar.istio.io/inject: "true"', 'sidecar.istio.io/inject: "false"'


def modes(*texts: str, observed: bool = False) -> list[str]:
    """The TLS modes of all Pods that a folder comes to."""
    stand_in = StandIn(observed=observed)
    origin = Origin("a.yaml", 1)
    changes = stand_in.apply([Change(one.ref, origin, None, one) for text in texts for one in resources(text)])
    pods = stand_in.wanted() if observed else [change.new for change in changes if change.ref.kind == "Pod"]
    return [pod.meta.labels.get(TLS_MODE, "") for pod in pods]


def deployment(*, namespace="shop", labels="", annotations="", spec="{containers: [{name: c, image: i}]}") -> str:
    labels = f", {labels}" if labels else ""
    return DEPLOYMENT.format(namespace=namespace, labels=labels, annotations=annotations, spec=spec)


def namespace(labels: str, name: str = "shop") -> str:
    return NAMESPACE.format(name=name, labels=labels)


OFFLINE = {
    "nobody, unless somebody says so": ([deployment()], ""),
    "those of a namespace that is labelled": ([deployment(), namespace(ENABLED)], "istio"),
    "those of a namespace with a revision": ([deployment(), namespace("istio.io/rev: stable")], "istio"),
    "not those of a namespace that says no, whatever its revision": (
        [deployment(), namespace(f"{DISABLED}, istio.io/rev: stable")],
        "",
    ),
    "not those that say no": ([deployment(labels=NO), namespace(ENABLED)], ""),
    "not those with an annotation that says no": ([deployment(annotations=NO), namespace(ENABLED)], ""),
    "those that say yes": ([deployment(labels=YES)], "istio"),
    "not even those in a namespace that says no": ([deployment(labels=YES), namespace(DISABLED)], ""),
    "a label comes before an annotation": ([deployment(labels=YES, annotations=NO)], "istio"),
    "not those on their host's network": (
        [deployment(spec="{hostNetwork: true, containers: [{name: c, image: i}]}"), namespace(ENABLED)],
        "",
    ),
    "not those of the cluster itself": (
        [deployment(namespace="kube-system"), namespace(ENABLED, "kube-system")],
        "",
    ),
    "what they say of TLS holds": (
        [deployment(labels="security.istio.io/tlsMode: disabled"), namespace(ENABLED)],
        "disabled",
    ),
}


@pytest.mark.parametrize(("texts", "expected"), OFFLINE.values(), ids=OFFLINE)
def test_offline_there_is_a_proxy_beside(texts, expected):
    assert modes(*texts) == [expected]


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: p, namespace: shop, annotations: {{{annotations}}}}}
status: {{podIP: 10.0.0.1}}
"""


def test_a_pod_that_runs_already_shows_whether_it_has_one():
    assert modes(POD.format(annotations=""), namespace(ENABLED)) == [""]
    assert modes(POD.format(annotations="sidecar.istio.io/status: '{}'")) == ["istio"]


LAB = {
    "everybody": (deployment(), "istio"),
    "not who says no": (deployment(labels=NO), ""),
    "not who is on the host's network": (deployment(spec="{hostNetwork: true, containers: [{name: c, image: i}]}"), ""),
}


@pytest.mark.parametrize(("text", "expected"), LAB.values(), ids=LAB)
def test_in_the_lab_there_is_a_proxy_beside(text, expected):
    assert modes(text, observed=True) == [expected]


def test_a_namespace_that_is_labelled_later_changes_its_pods():
    stand_in = StandIn()
    origin = Origin("a.yaml", 1)
    (made,) = resources(deployment())
    stand_in.apply([Change(made.ref, origin, None, made)])
    (labelled,) = resources(namespace(ENABLED))
    changes = stand_in.apply([Change(labelled.ref, origin, None, labelled)])
    (pod,) = [change.new for change in changes if change.ref.kind == "Pod"]
    assert pod.meta.labels[TLS_MODE] == "istio"
