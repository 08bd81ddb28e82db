"""The manifests in deploy/, at a real API server: definitions that take what they should, rights that are enough."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml

from pilotpy.kube.csr_signer import Signer
from pilotpy.kube.definitions import definitions
from pilotpy.sources.kubernetes.collection import COLLECTIONS, DEFINITIONS, REMOTE
from pilotpy_ca.certificates import pem
from tests.asynchronous import asynchronous
from tests.authority.plane import Workload, names
from tests.kube.cluster import Refused, path_of
from tests.kube.plane import plane, roots_in
from tests.kube.test_csr_signer import certificate, left, signing
from tests.kube.test_keys import Shop
from tests.kube.waiting import eventually, soon


@pytest.fixture(scope="module")
def deploy(repository):
    return repository / "deploy"


def objects(path):
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def test_the_definitions_in_deploy_are_those_that_the_model_makes(deploy):
    written = [one for path in sorted((deploy / "crds").glob("*.yaml")) for one in objects(path)]
    assert written == definitions(), "run `make crds`"


def test_all_that_is_deployed_stands_in_the_kustomization(deploy):
    listed = yaml.safe_load((deploy / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in deploy.glob("*.yaml")} == {*listed, "kustomization.yaml"}


def test_the_cluster_role_reads_what_is_watched_and_no_more(deploy):
    assert watched(deploy / "roles.yaml") == {(one.group, one.plural) for one in (*COLLECTIONS, DEFINITIONS)}


def test_the_reader_of_another_cluster_reads_what_is_watched_there_and_no_more(deploy):
    path = deploy / "remote-cluster" / "reader.yaml"
    assert watched(path) == {(one.group, one.plural) for one in REMOTE}


def watched(path):
    """Groups and resources that the role in a manifest may watch."""
    role = next(one for one in objects(path) if one["kind"] == "ClusterRole")
    return {
        (group, resource)
        for rule in role["rules"]
        if "watch" in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@pytest.fixture(scope="module")
def installed(apiserver):
    """All of our definitions; other tests bring some of their own."""
    made = definitions()
    for one in made:
        apiserver.admin.create(one)
    for one in made:
        eventually(lambda one=one: established(apiserver.admin.read(one)))
    yield made
    for one in made:
        apiserver.admin.delete(one)
    for one in made:
        eventually(lambda one=one: gone(apiserver, one), patience=40)


def established(definition):
    conditions = {one["type"]: one["status"] for one in definition.get("status", {}).get("conditions") or ()}
    assert "NonStructuralSchema" not in conditions
    return conditions.get("Established") == "True"


def gone(apiserver, one):
    try:
        apiserver.admin.read(one)
    except Refused as refused:
        return refused.status == 404
    return False


def test_definitions_accept_what_istio_accepts_in_every_version(apiserver, installed, conformance):
    cases = json.loads((conformance / "validation" / "crd_samples.json").read_text())["cases"]
    namespace, accepted, wrong = apiserver.namespace(), 0, []
    versions = {one["spec"]["names"]["kind"]: one["spec"]["versions"] for one in installed}
    for number, case in enumerate(case for case in cases if case["expect"]["valid"]):
        one = yaml.safe_load(case["input"])
        group = one["apiVersion"].partition("/")[0]
        for version in versions[one["kind"]]:
            metadata = one.get("metadata", {}) | {"namespace": namespace, "name": f"{number}-{version['name']}"}
            try:
                eventually(
                    lambda one=one | {"apiVersion": f"{group}/{version['name']}", "metadata": metadata}: (
                        apiserver.admin.create(one)
                    ),
                    patience=5,
                )
                accepted += 1
            except Refused as refused:
                wrong.append((case["name"], str(refused)))
    assert not wrong
    assert accepted > 20


def test_definitions_refuse_what_is_of_another_type(apiserver, installed):
    namespace = apiserver.namespace()
    one = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"namespace": namespace, "name": "strict"},
        "spec": {"mtls": {"mode": "STRICT"}, "portLevelMtls": {"80": {"mode": "DISABLE"}}},
    }
    eventually(lambda: apiserver.admin.create(one))
    for spec in ({"mtls": {"mode": "MAYBE"}}, {"mtls": "STRICT"}, {"selector": {"matchLabels": ["a"]}}):
        with pytest.raises(Refused, match="422"):
            apiserver.admin.patch(one, {"spec": spec})
    pruned = apiserver.admin.patch(one, {"spec": {"nobodyKnows": 1}})
    assert pruned["spec"] == one["spec"]


GATEWAY_API = "gateway.networking.k8s.io"


def of_the_gateway_api(conformance):
    """What the Gateway API's own suite applies of its kinds."""
    for path in sorted((conformance / "gateway-api-conformance" / "manifests").rglob("*.yaml")):
        text = path.read_text().replace("{GATEWAY_CLASS_NAME}", "istio").replace("PLACEHOLDER", "198.51.100.1")
        text = text.replace("{GATEWAY_CONTROLLER_NAME}", "istio.io/gateway-controller")
        yield from (one for one in yaml.safe_load_all(text) if one and one["apiVersion"].startswith(GATEWAY_API))


def test_definitions_accept_what_the_gateway_api_accepts(apiserver, installed, conformance):
    namespace, wrong = apiserver.namespace(), []
    for number, one in enumerate(of_the_gateway_api(conformance)):
        place = {} if one["kind"] == "GatewayClass" else {"namespace": namespace}
        try:
            apiserver.admin.create(one | {"metadata": {**place, "name": f"case-{number}"}})
        except Refused as refused:
            wrong.append((one["kind"], one["metadata"]["name"], str(refused)))
    assert not wrong
    assert number > 300


def gateway_route(namespace, spec):
    metadata = {"namespace": namespace, "name": "web"}
    return {"apiVersion": f"{GATEWAY_API}/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def test_definitions_write_out_the_gateway_apis_defaults(apiserver, installed):
    route = gateway_route(apiserver.namespace(), {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
    (rule,) = apiserver.admin.create(route)["spec"]["rules"]
    assert rule == {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"kind": "Service", "name": "web", "port": 80, "weight": 1}],
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"hostnames": ["Web.example.com"]},
        {"rules": []},
        {"rules": [{"backendRefs": [{"port": 80}]}]},
        {"rules": [{"backendRefs": [{"name": "a", "port": 0}]}]},
        {"rules": [{"timeouts": {"request": "1.5s"}}]},
        {"rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 200}}]}]},
    ],
    ids=["a name in capitals", "no rules", "no name", "no port", "a broken number of seconds", "no redirect"],
)
def test_definitions_refuse_what_the_gateway_api_refuses(apiserver, installed, spec):
    with pytest.raises(Refused, match="422"):
        apiserver.admin.create(gateway_route("default", spec))


def test_applying_what_is_deployed_changes_no_definitions(deploy):
    listed = yaml.safe_load((deploy / "kustomization.yaml").read_text())["resources"]
    assert "CustomResourceDefinition" not in {one["kind"] for name in listed for one in objects(deploy / name)}


def test_a_cluster_that_has_definitions_keeps_them(apiserver, installed):
    with pytest.raises(Refused, match="AlreadyExists"):
        apiserver.admin.create(installed[0])


@pytest.fixture(scope="module")
def rights(apiserver, deploy):
    """A kubeconfig of the service account that the control plane runs as, and of nobody else."""
    for path in ("namespace.yaml", "service-account.yaml", "roles.yaml", "services.yaml", "deployment.yaml"):
        for one in objects(deploy / path):
            apiserver.admin.create(one)
    token = apiserver.admin.token("istio-system", "istiod", "")
    return apiserver.kubeconfig_for("istiod", {"token": token})


@asynchronous
async def test_the_control_plane_runs_with_the_rights_that_deploy_gives_it(apiserver, rights, installed, caplog):
    shop = Shop(apiserver)
    async with plane(apiserver, "istio-system", kubeconfig=rights) as served:
        roots = await asyncio.to_thread(served.roots, shop.name)
        chain = await served.certificate(Workload(), shop.token(), roots)
        assert names(chain) == [shop.identity]
        apiserver.admin.patch(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"namespace": shop.name, "name": "istio-ca-root-cert"},
            },
            {"data": {"root-cert.pem": "mine"}},
        )
        await soon(lambda: roots_in(apiserver, shop.name).encode() == roots)
        assert not served.server.instruments.metrics.root_writes["failed"]
    # Started again, it reads the root that it stored, and takes the lease that it released.
    async with plane(apiserver, "istio-system", kubeconfig=rights) as served:
        chain = await served.certificate(Workload(), shop.token(), roots)
        assert chain[-1].encode() == roots
    assert "403" not in caplog.text, "all that it does is allowed"


@asynchronous
async def test_a_signer_in_the_cluster_is_used_with_the_rights_for_it(apiserver, deploy, rights):
    for one in objects(deploy / "external-signer" / "roles.yaml"):
        apiserver.admin.create(one)
    shop = Shop(apiserver)
    async with signing(apiserver) as authority:
        signer = Signer("example.com/mesh", roots=(pem(authority.root),))
        async with plane(apiserver, "istio-system", kubeconfig=rights, signer=signer) as served:
            roots = await asyncio.to_thread(served.roots, shop.name)
            chain = await certificate(served, shop, roots)
            assert chain[-1] == pem(authority.root).decode()
            assert not left(apiserver)


@asynchronous
async def test_with_these_rights_no_other_secret_or_config_map_can_be_written(apiserver, rights):
    client = apiserver.client(yaml.safe_load(rights.read_text())["users"][0]["user"]["token"])
    namespace = apiserver.namespace()
    one = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "theirs"}}
    apiserver.admin.create(one, one | {"kind": "ConfigMap"})
    for kind in ("Secret", "ConfigMap"):
        for attempt in (
            client.delete,
            client.replace,
            lambda it: client.patch(it, {"metadata": {"labels": {"a": "b"}}}),
        ):
            with pytest.raises(Refused, match="403"):
                attempt(one | {"kind": kind})
    with pytest.raises(Refused, match="403"):
        client.create(one | {"metadata": {"namespace": namespace, "name": "another"}})


def test_an_api_server_takes_all_manifests_and_knows_every_field_of_them(apiserver, deploy, rights):
    paths = [*deploy.glob("*.yaml"), *deploy.glob("external-signer/*.yaml"), *deploy.glob("remote-cluster/*.yaml")]
    strictly = "fieldManager=test&force=true&dryRun=All&fieldValidation=Strict"
    for path in sorted(path for path in paths if path.name != "kustomization.yaml"):
        for one in objects(path):
            taken = apiserver.admin.request(
                "PATCH", f"{path_of(one)}?{strictly}", one, content="application/apply-patch+yaml"
            )
            assert taken["metadata"]["name"] == one["metadata"]["name"]


def test_who_is_deployed_is_who_services_and_policies_select(deploy):
    deployment, budget = objects(deploy / "deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    (service,), (policy,) = objects(deploy / "services.yaml"), objects(deploy / "network-policy.yaml")
    for selector in (
        service["spec"]["selector"],
        *(one["spec"]["selector"]["matchLabels"] for one in (deployment, budget)),
        policy["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    served = {port["containerPort"] for port in container["ports"]}
    reached = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == reached < served


def test_pods_of_the_deployment_would_be_admitted_by_the_strictest_standard(apiserver, deploy, rights):
    deployment = next(one for one in objects(deploy / "deployment.yaml") if one["kind"] == "Deployment")
    label = "pod-security.kubernetes.io/enforce"
    namespace = apiserver.namespace(**{label: "restricted"})
    template = deployment["spec"]["template"]
    metadata = template["metadata"] | {"namespace": namespace, "name": "istiod"}
    assert apiserver.admin.create({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata})
