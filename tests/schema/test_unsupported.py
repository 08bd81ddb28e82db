"""What has no effect yet says so, and what is not written says nothing."""

import pytest
import yaml

from pilotpy.model.mesh_config import MeshConfig
from pilotpy.schema import codes, unsupported
from pilotpy.schema.admission import admitted
from pilotpy.schema.kinds import SCHEMAS
from pilotpy.schema.mesh_config import mesh_config, mesh_networks


def said(text):
    return [(finding.code, finding.field) for finding in admitted(yaml.safe_load(text)).findings]


def test_a_kind_without_effect_says_so():
    text = "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, metadata: {name: g}, spec: {template: {}}}"
    assert said(text) == [(codes.NOT_COMPILED, "kind")]


def test_a_field_without_effect_says_so_wherever_it_stands():
    text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: v}
        spec:
          hosts: [a]
          tcp:
          - match: [{port: 1}, {port: 2, sourceSubnet: 10.0.0.0/8}]
            route: [{destination: {host: a}}]
    """
    assert said(text) == [(codes.NOT_COMPILED, "spec.tcp[0].match[1].sourceSubnet")]


SELECTED = "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: []}}"


def workload(kind, more):
    return f"{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: w}}, spec: {{{SELECTED}, {more}}}}}"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param(workload("Deployment", "paused: true"), "spec.paused", id="a Deployment that is paused"),
        pytest.param(workload("Deployment", "minReadySeconds: 5"), "spec.minReadySeconds", id="a time to settle"),
        pytest.param(
            workload("StatefulSet", "updateStrategy: {rollingUpdate: {partition: 2}}"),
            "spec.updateStrategy.rollingUpdate.partition",
            id="a rollout of some numbers",
        ),
        pytest.param(
            workload("StatefulSet", "updateStrategy: {type: OnDelete}"),
            "spec.updateStrategy.type",
            id="a rollout by hand",
        ),
        pytest.param(
            workload("DaemonSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 3}}"),
            "spec.updateStrategy.rollingUpdate",
            id="a rollout of several at once",
        ),
        pytest.param(
            "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}],"
            " ipFamilyPolicy: RequireDualStack}}",
            "spec.ipFamilyPolicy",
            id="a Service of two address families",
        ),
        pytest.param(
            "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, annotations:"
            " {istio.io/connect-strategy: RACE_FIRST_TCP_CONNECT}}, spec: {hosts: [a.example],"
            " ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}}",
            'metadata.annotations["istio.io/connect-strategy"]',
            id="a race of connections",
        ),
    ],
)
def test_what_is_read_and_not_done_says_so(text, field):
    assert said(text) == [(codes.NOT_COMPILED, field)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(workload("Deployment", "paused: false"), id="a Deployment that goes on"),
        pytest.param(workload("StatefulSet", "updateStrategy: {type: RollingUpdate}"), id="the default, written out"),
        pytest.param(workload("StatefulSet", "podManagementPolicy: Parallel"), id="Pods that come all at once"),
        pytest.param(
            "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}],"
            " ipFamilyPolicy: PreferDualStack, clusterIPs: [10.0.0.1]}}",
            id="a second address family that was not to be had",
        ),
    ],
)
def test_what_is_done_as_written_says_nothing(text):
    assert said(text) == []


A_GATEWAY = """{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec:
  {gatewayClassName: %s, listeners: [{name: http, port: 80, protocol: HTTP}]}}"""
CLASS_OF_GATEWAYS = """{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c},
  spec: {controllerName: %s}}"""
CLASS_OF_INGRESSES = """{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: c},
  spec: {controller: %s}}"""
INGRESS = """{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, annotations: {%s}},
  spec: {%s defaultBackend: {service: {name: shop, port: {number: 80}}}}}"""


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        pytest.param(CLASS_OF_GATEWAYS % "istio.io/gateway-controller", True, id="a class of Istio's gateways"),
        pytest.param(CLASS_OF_GATEWAYS % "example.com/gateways", False, id="a class of somebody else's"),
        pytest.param(A_GATEWAY % "istio", True, id="a gateway of Istio's"),
        pytest.param(A_GATEWAY % "istio-waypoint", True, id="a waypoint"),
        pytest.param(A_GATEWAY % "nginx", False, id="a gateway of somebody else's"),
        pytest.param(CLASS_OF_INGRESSES % "istio.io/ingress-controller", True, id="a class of Istio's ingresses"),
        pytest.param(CLASS_OF_INGRESSES % "k8s.io/ingress-nginx", False, id="a class of somebody else's ingresses"),
        pytest.param(INGRESS % ("", ""), True, id="an Ingress of no class"),
        pytest.param(INGRESS % ("", "ingressClassName: istio,"), True, id="an Ingress of Istio's"),
        pytest.param(INGRESS % ("", "ingressClassName: nginx,"), False, id="an Ingress of somebody else's"),
        pytest.param(
            INGRESS % ("kubernetes.io/ingress.class: nginx", ""), False, id="an Ingress that says it in the older way"
        ),
    ],
)
def test_what_another_controller_serves_is_not_told_to_be_without_effect(text, is_told):
    assert said(text) == [(codes.NOT_COMPILED, "kind")] * is_told


def test_addresses_that_another_control_plane_allocated_say_that_they_do_not_count():
    text = """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: e}
        spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
        status: {addresses: [{value: 240.240.0.1, host: a.example}]}
    """
    assert said(text) == [(codes.NOT_COMPILED, "status.addresses")]


def test_a_mesh_whose_proxies_answer_dns_is_told_that_no_addresses_are_allocated():
    _, findings = mesh_config("defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}", "mesh.yaml")
    assert [(one.code, one.field) for one in findings] == [
        (codes.NOT_COMPILED, "defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE")
    ]


def test_a_gateway_between_networks_says_that_where_it_stands_has_no_effect():
    gateway = "gateways: [{address: 1.1.1.1, port: 443, locality: us/east}]"
    _, findings = mesh_networks(f"networks: {{one: {{endpoints: [{{fromCidr: 10.0.0.0/8}}], {gateway}}}}}", "n.yaml")
    assert [(one.code, one.field) for one in findings] == [(codes.NOT_COMPILED, "networks.one.gateways[0].locality")]


def test_what_is_not_written_says_nothing():
    assert said("{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}") == []


def test_a_setting_of_the_mesh_without_effect_says_so():
    text = "accessLogFile: /dev/stdout\nca: {address: x:1}\ndefaultConfig:\n  statsdUdpAddress: x:1\n"
    _, findings = mesh_config(text, "mesh.yaml")
    assert [(one.code, one.field, one.line) for one in findings] == [
        (codes.NOT_COMPILED, "ca", 2),
        (codes.NOT_COMPILED, "defaultConfig.statsdUdpAddress", 4),
    ]


def test_defaults_are_no_settings():
    assert list(unsupported.unsupported_settings(MeshConfig())) == []


@pytest.mark.parametrize(
    ("kind", "pattern"), [(kind, one) for kind, fields in unsupported._FIELDS.items() for one in fields]
)
def test_every_line_of_the_table_names_a_field(kind, pattern):
    (struct,) = (schema.spec for (_, name), schema in SCHEMAS.items() if name == kind)
    assert pattern.split(".")[0].removesuffix("[*]") in struct.__struct_encode_fields__


def test_every_kind_of_the_table_is_known():
    assert unsupported._KINDS.keys() <= {schema.called for schema in SCHEMAS.values()}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param(
            "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}", ["outboundTrafficPolicy.mode"], id="a mode"
        ),
        pytest.param("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", [], id="another mode"),
        pytest.param(
            "{enableTracing: false, defaultProviders: {tracing: [z]}}", [], id="a tracer, and nothing is traced"
        ),
        pytest.param("defaultProviders: {tracing: [z]}", ["defaultProviders.tracing"], id="traced"),
    ],
)
def test_values_without_effect_are_told_from_those_that_have_one(text, fields):
    _, findings = mesh_config(text.encode(), "mesh.yaml")
    assert [one.field for one in findings if one.code == codes.NOT_COMPILED] == fields
