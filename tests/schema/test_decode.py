"""Objects as typed resources: everything that is wrong is said, with field, and the rest is used."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pilotpy.model.resource import Owner, Ref, Severity
from pilotpy.schema import codes
from pilotpy.schema.decode import decode, decode_object
from pilotpy.schema.kinds import SCHEMAS


def decoded(text, **options):
    return decode_object(yaml.safe_load(text), **options)


def right(text):
    resource, findings = decoded(text)
    assert findings == []
    return resource


def said(text):
    return [(finding.code, finding.field) for finding in decoded(text).findings]


def virtual_service(spec):
    return f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: x}}\nspec: {spec}\n"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../etc", "a%2fb"])
@pytest.mark.parametrize("field", ["name", "namespace"])
def test_what_no_api_server_takes_for_a_name_is_none(field, name):
    metadata = {"name": "x", "namespace": "shop", field: name}
    found = decode_object({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}})
    assert found.resource is None
    assert [(finding.severity, finding.field) for finding in found.findings] == [(Severity.ERROR, f"metadata.{field}")]


def test_a_virtual_service_means_what_its_author_wrote():
    resource = right(
        virtual_service(
            "{hosts: [a], http: [{route: [{destination: {host: b, port: {number: 80}}, weight: 100}],"
            " timeout: 1.5s, retries: {attempts: 2, retryRemoteLocalities: false}}]}"
        )
    )
    (route,) = resource.spec.http
    assert resource.ref == Ref("VirtualService", "default", "x")
    assert route.timeout == timedelta(seconds=1.5)
    assert route.route[0].destination.port.number == 80
    assert (route.retries.attempts, route.retries.per_try_timeout) == (2, None)
    assert route.retries.retry_remote_localities is False


def test_metadata_is_read():
    resource = right(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: a-1
          namespace: shop
          labels: {app: a}
          creationTimestamp: "2030-01-31T12:00:00Z"
          ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a, uid: u, controller: true}]
          uid: ignored
        spec: {containers: [{name: c, ports: [{containerPort: 80}]}], nodeName: n, tolerations: []}
        status: {podIP: 10.0.0.1, phase: Running}
        """
    )
    assert resource.meta.created == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert resource.meta.owners == (Owner(kind="ReplicaSet", name="a", controller=True),)
    assert (resource.spec.node_name, resource.spec.status.pod_ip) == ("n", "10.0.0.1")


def test_what_stands_beside_metadata_is_read():
    secret = right("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {key: aGk=}, type: Opaque}")
    assert secret.spec.data == {"key": b"hi"}


def test_cluster_wide_kinds_have_no_namespace():
    assert right("{apiVersion: v1, kind: Node, metadata: {name: n}}").ref == Ref("Node", "", "n")


def test_the_namespace_for_those_who_name_none_can_be_given():
    text = "{apiVersion: v1, kind: Service, metadata: {name: s}}"
    assert decoded(text, namespace="shop").resource.meta.namespace == "shop"


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: f"{schema.kind} of {schema.group or 'core'}")
def test_every_kind_is_read_in_every_version(schema):
    for version in schema.versions:
        api_version = f"{schema.group}/{version}".lstrip("/")
        found = decode(schema.kind, api_version, {"metadata": {"name": "x"}, "spec": None})
        missing = [finding for finding in found.findings if not finding.message.startswith("Missing required field")]
        assert missing == []


@pytest.mark.parametrize("null", ["http: null", "http: [{timeout: null, route: null}]", "exportTo: ~"])
def test_null_is_absent(null):
    assert right(virtual_service(f"{{hosts: [a], {null}}}")).spec.hosts == ("a",)


WRONG = [
    ("a list was expected", "{hosts: a}", "spec.hosts", "Expected a list, found 'a'"),
    ("text was expected", "{hosts: [1]}", "spec.hosts[0]", "Expected text, found 1"),
    ("a mapping was expected", "{http: [x]}", "spec.http[0]", "Expected a mapping, found 'x'"),
    (
        "an integer was expected",
        "{http: [{retries: {attempts: yes}}]}",
        "spec.http[0].retries.attempts",
        "Expected an integer, found true",
    ),
    (
        "an integer does not fit",
        "{http: [{match: [{port: -1}]}]}",
        "spec.http[0].match[0].port",
        "Expected an integer from 0 to 4294967295, found -1",
    ),
    (
        "a bad duration",
        "{http: [{timeout: 5 seconds}]}",
        "spec.http[0].timeout",
        '\'5 seconds\' is not a duration such as "5s", "500ms" or "1h30m"',
    ),
    (
        "a number for a duration",
        "{http: [{timeout: 5}]}",
        "spec.http[0].timeout",
        'Expected a duration such as "5s", found 5',
    ),
    (
        "a word that is none of the choices",
        "{http: [{corsPolicy: {unmatchedPreflights: ignore}}]}",
        "spec.http[0].corsPolicy.unmatchedPreflights",
        "Expected one of FORWARD, IGNORE, UNSPECIFIED; found 'ignore'",
    ),
    (
        "two of what excludes each other",
        "{http: [{match: [{uri: {exact: /, prefix: /}}]}]}",
        "spec.http[0].match[0].uri",
        "Only one of exact, prefix may be set",
    ),
    ("the whole spec is of the wrong type", "[]", "spec", "Expected a mapping, found a list"),
]


@pytest.mark.parametrize(("spec", "field", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_said_and_the_object_refused(spec, field, message):
    resource, findings = decoded(virtual_service(spec))
    assert resource is None
    assert [(finding.code, finding.field, finding.message) for finding in findings] == [(codes.INVALID, field, message)]
    assert findings[0].ref == Ref("VirtualService", "default", "x")


def test_everything_that_is_wrong_is_said_not_just_the_first():
    text = virtual_service("{hosts: a, http: [{timeout: 5}, {timeout: 5s, retries: []}]}")
    assert [field for _, field in said(text)] == ["spec.hosts", "spec.http[0].timeout", "spec.http[1].retries"]


def test_an_unknown_field_is_ignored_with_a_warning_and_the_rest_is_used():
    resource, findings = decoded(virtual_service("{hosts: [a], http: [{name: r, timeot: 5s}], hots: [b]}"))
    assert resource.spec.http[0].name == "r"
    assert [(one.code, one.severity, one.field, one.hint) for one in findings] == [
        (codes.UNKNOWN_FIELD, Severity.WARNING, "spec.http[0].timeot", "Did you mean timeout?"),
        (codes.UNKNOWN_FIELD, Severity.WARNING, "spec.hots", "Did you mean hosts?"),
    ]


def test_more_problems_than_anybody_reads_are_not_all_told():
    resource, findings = decoded(virtual_service(f"{{hosts: [{', '.join(['1'] * 5000)}]}}"))
    assert resource is None
    assert len(findings) == 101
    assert findings[-1].message.startswith("More than 100 problems")


def test_a_field_beside_the_spec_is_unknown():
    text = "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: x}, egress: []}"
    assert said(text) == [(codes.UNKNOWN_FIELD, "egress")]


def test_a_label_that_reads_as_a_number_wants_quotes():
    resource, findings = decoded("{apiVersion: v1, kind: Service, metadata: {name: s, labels: {version: 1.10}}}")
    assert resource is None
    assert (findings[0].field, findings[0].hint) == ("metadata.labels.version", "Put it in quotes")


def test_fields_of_a_pod_that_no_mesh_reads_are_passed_over():
    assert said("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {schedulerName: x, whatever: 1}}") == []


OTHERS = [
    ("no kind", "{apiVersion: v1, metadata: {name: x}}", codes.NOT_AN_OBJECT, Severity.WARNING),
    ("no apiVersion", "{kind: Service, metadata: {name: x}}", codes.NOT_AN_OBJECT, Severity.WARNING),
    ("no name", "{apiVersion: v1, kind: Service, metadata: {}}", codes.INVALID, Severity.ERROR),
    ("no metadata", "{apiVersion: v1, kind: Service}", codes.INVALID, Severity.ERROR),
    (
        "a version that never was",
        "{apiVersion: networking.istio.io/v7, kind: Sidecar}",
        codes.UNKNOWN_KIND,
        Severity.ERROR,
    ),
    ("the wrong group", "{apiVersion: v1, kind: VirtualService}", codes.UNKNOWN_KIND, Severity.ERROR),
    (
        "a misspelt kind of Istio's",
        "{apiVersion: networking.istio.io/v1, kind: VirtualServise}",
        codes.UNKNOWN_KIND,
        Severity.ERROR,
    ),
    (
        "a kind of somebody else's",
        "{apiVersion: cert-manager.io/v1, kind: Certificate}",
        codes.UNKNOWN_KIND,
        Severity.INFO,
    ),
    (
        "a kind that is not served yet",
        "{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XMesh}",
        codes.NOT_COMPILED,
        Severity.WARNING,
    ),
]


@pytest.mark.parametrize(("text", "code", "severity"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_what_is_no_resource_of_ours(text, code, severity):
    resource, findings = decoded(text)
    assert resource is None
    assert [(finding.code, finding.severity) for finding in findings] == [(code, severity)]


@pytest.mark.parametrize("of", ["rbac.authorization.k8s.io/v1, kind: Role", "v1, kind: PersistentVolumeClaim"])
def test_kinds_that_say_nothing_to_a_mesh_are_passed_over_in_silence(of):
    assert decoded(f"{{apiVersion: {of}, metadata: {{name: x}}}}") == (None, [])


def test_an_unknown_field_without_a_value_is_told_and_left_out():
    raw = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "x"}, "data": None}
    resource, findings = decode_object(raw)
    assert resource is not None
    assert [finding.field for finding in findings] == ["data"]
