"""What other tests rely on: that the API server is a real one, and can be treated badly."""

import pytest

from tests.kube.cluster import Refused, plural
from tests.kube.waiting import eventually

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}


def config_map(namespace, name):
    return {**CONFIG_MAP, "metadata": {"namespace": namespace, "name": name}}


def review(apiserver, token, *audiences):
    spec = {"token": token, "audiences": list(audiences)}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": spec}
    return apiserver.admin.create(asked)["status"]


def test_a_projected_token_is_known_by_account_pod_and_audience(apiserver):
    namespace = apiserver.namespace()
    apiserver.account(namespace, "reviews")
    spec = {"serviceAccountName": "reviews", "containers": [{"name": "app", "image": "none"}]}
    metadata = {"namespace": namespace, "name": "reviews-1"}
    pod = apiserver.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    token = apiserver.admin.token(namespace, "reviews", "istio-ca", pod)

    known = review(apiserver, token, "istio-ca")
    assert known["authenticated"]
    assert known["user"]["username"] == f"system:serviceaccount:{namespace}:reviews"
    assert known["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["reviews-1"]
    assert not review(apiserver, token, "somebody-else").get("authenticated")


def test_who_has_no_role_may_do_nothing_until_there_is_one(apiserver):
    namespace = apiserver.namespace()
    apiserver.account(namespace, "reader")
    client = apiserver.client(apiserver.admin.token(namespace, "reader", ""))
    apiserver.admin.create(config_map(namespace, "one"))
    with pytest.raises(Refused, match="403"):
        client.read(config_map(namespace, "one"))

    group = "rbac.authorization.k8s.io"
    metadata = {"namespace": namespace, "name": "reader"}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    reference = {"apiGroup": group, "kind": "Role", "name": "reader"}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
    apiserver.admin.create(role | {"rules": rules})
    apiserver.admin.create(role | {"kind": "RoleBinding", "subjects": [subject], "roleRef": reference})
    eventually(lambda: client.read(config_map(namespace, "one"))["data"] == {"a": "1"})


def test_kinds_can_be_defined_and_used(apiserver):
    group = "pilotpy.test"
    names = {"plural": "lamps", "singular": "lamp", "kind": "Lamp", "listKind": "LampList"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"on": {"type": "boolean"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"lamps.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    apiserver.admin.create(definition)
    metadata = {"namespace": apiserver.namespace(), "name": "desk"}
    lamp = {"apiVersion": f"{group}/v1", "kind": "Lamp", "metadata": metadata, "spec": {"on": True, "colour": "red"}}
    eventually(lambda: apiserver.admin.create(lamp))
    assert apiserver.admin.read(lamp)["spec"] == {"on": True}, "what the schema does not name is pruned"
    with pytest.raises(Refused, match="422"):
        apiserver.admin.replace(apiserver.admin.read(lamp) | {"spec": {"on": "very"}})


def test_objects_survive_a_restart_and_watches_from_before_a_compaction_are_gone(apiserver):
    namespace = apiserver.namespace()
    written = apiserver.admin.create(config_map(namespace, "kept"))
    old = written["metadata"]["resourceVersion"]
    for i in range(3):
        written = apiserver.admin.replace({**written, "data": {"a": str(i)}})

    apiserver.restart(compacted=True)
    assert apiserver.admin.read(written)["data"] == {"a": "2"}
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&timeoutSeconds=1&resourceVersion={old}"
    assert first_watched(apiserver, path)["object"]["code"] == 410


def first_watched(apiserver, path):
    try:
        return apiserver.admin.request("GET", path)
    except Refused as refused:
        return {"object": {"code": refused.status}}


def test_etcd_can_go_away_and_come_back(apiserver):
    namespace = apiserver.namespace()
    apiserver.etcd.stop()
    with pytest.raises((Refused, OSError)):
        apiserver.admin.request("GET", "/readyz", patience=2)
    apiserver.etcd.start()
    eventually(lambda: apiserver.admin.create(config_map(namespace, "found")))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Service", "services"),
        ("Endpoints", "endpoints"),
        ("Ingress", "ingresses"),
        ("Gateway", "gateways"),
        ("ServiceEntry", "serviceentries"),
        ("AuthorizationPolicy", "authorizationpolicies"),
    ],
)
def test_a_kind_has_the_plural_that_its_path_has(kind, path):
    assert plural(kind) == path


def test_it_calls_itself_by_the_version_that_is_pinned(apiserver, repository):
    pinned = (repository / "tests/kube/apiserver/go.mod").read_text()
    assert f"k8s.io/kubernetes {apiserver.admin.request('GET', '/version')['gitVersion']}\n" in pinned
