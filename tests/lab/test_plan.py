"""What runs for a Pod."""

from datetime import timedelta

import msgspec
import pytest

from pilotpy.agent.bootstrap import Address
from pilotpy.agent.traffic_capture import Mode
from pilotpy.lab.news import MeshFacts
from pilotpy.lab.plan import plan
from pilotpy.model.pod import Container, ContainerPort, EnvVar, EnvVarSource, FieldRef
from tests.lab.pods import pod, service

DISCOVERY = Address("10.44.0.1", 15012)


def planned(one, *services, marked=False):
    return plan(one, services, MeshFacts(), DISCOVERY, marked=marked)


@pytest.mark.parametrize(
    ("one", "services", "ports"),
    [
        pytest.param(pod("a", "10.44.1.1", ports=(9000, 80)), (), (80, 9000), id="container ports, sorted"),
        pytest.param(pod("a", "10.44.1.1"), (service("a", "", (80, 8081)),), (8081,), id="target ports of Services"),
        pytest.param(pod("a", "10.44.1.1"), (service("a", "", (80, None)),), (80,), id="a Service port is its target"),
        pytest.param(pod("a", "10.44.1.1"), (service("b", "", (80, 8081)),), (8080,), id="nothing said: 8080"),
        pytest.param(
            pod("a", "10.44.1.1"), (service("a", "", (80, 1), namespace="x"),), (8080,), id="not of other namespaces"
        ),
        pytest.param(
            pod("a", "10.44.1.1", containers=(Container(ports=(ContainerPort(container_port=99, name="web"),)),)),
            (service("a", "", (80, "web"), (81, "missing")),),
            (99,),
            id="a target port by name",
        ),
    ],
)
def test_ports_of_the_echo_application(one, services, ports):
    assert planned(one, *services).ports == ports


def test_an_annotation_names_the_program():
    one = pod("a", "10.44.1.1", annotations={"lab.pilotpy.dev/command": "python3 app.py --name 'two words'"})
    assert planned(one).command == ("python3", "app.py", "--name", "two words")


def test_the_environment_is_that_of_the_container():
    variables = (
        EnvVar(name="PLAIN", value="x"),
        EnvVar(name="VERSION", value_from=EnvVarSource(FieldRef("metadata.labels['version']"))),
        EnvVar(name="WHERE", value_from=EnvVarSource(FieldRef("status.podIP"))),
    )
    one = pod("a", "10.44.1.1", labels={"version": "v2"}, containers=(Container(env=variables),))
    environment = planned(one).environment
    assert (environment["PLAIN"], environment["VERSION"], environment["WHERE"]) == ("x", "v2", "10.44.1.1")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(pod("a", "10.44.1.1"), True, id="every Pod has one"),
        pytest.param(
            pod("a", "10.44.1.1", annotations={"sidecar.istio.io/inject": "false"}), False, id="an annotation says no"
        ),
        pytest.param(pod("a", "10.44.1.1", labels={"sidecar.istio.io/inject": "false"}), False, id="a label says no"),
        pytest.param(pod("a", "10.44.1.1", host_network=True), False, id="none in the host's network"),
    ],
)
def test_sidecars(one, expected):
    assert (planned(one).start is not None) is expected
    assert (planned(one).capture is not None) is expected


def test_capture_follows_the_annotations():
    annotations = {
        "traffic.sidecar.istio.io/excludeInboundPorts": "9999",
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8, 11.0.0.0/8",
        "sidecar.istio.io/interceptionMode": "TPROXY",
    }
    capture = planned(pod("a", "10.44.1.1", annotations=annotations)).capture
    assert capture.inbound_ports_excluded == ("15090", "15021", "15020", "9999")
    assert capture.outbound_ranges == ("10.0.0.0/8", "11.0.0.0/8")
    assert capture.mode is Mode.TPROXY


def test_without_interception_nothing_is_captured_yet_there_is_an_envoy():
    made = planned(pod("a", "10.44.1.1", annotations={"sidecar.istio.io/interceptionMode": "NONE"}))
    assert made.capture is None
    assert made.start is not None


def test_where_there_is_one_user_envoys_packets_are_marked():
    made = planned(pod("a", "10.44.1.1"), marked=True)
    assert made.start.mark == made.capture.marks[0]
    assert (made.capture.uids, made.capture.gids) == ((), ())


def test_a_change_that_no_program_sees_is_the_same_plan():
    one = pod("a", "10.44.1.1")
    ready = msgspec.structs.replace(one.spec.status, phase="Running")
    later = msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, status=ready))
    assert planned(one) == planned(later)


def test_grace_is_the_pods():
    assert planned(pod("a", "10.44.1.1", termination_grace_period_seconds=4)).grace == timedelta(seconds=4)
    assert planned(pod("a", "10.44.1.1")).grace == timedelta(seconds=30)


def test_proxy_metadata_is_the_environment_of_the_agent_and_the_metadata_of_its_envoy():
    text = "proxyMetadata: {SECRET_TTL: 1h, ISTIO_META_IDLE_TIMEOUT: 5s}"
    one = pod("a", "10.44.1.1", annotations={"proxy.istio.io/config": text})
    of_mesh = MeshFacts("example.org", {"SECRET_TTL": "2h", "ECC_SIGNATURE_ALGORITHM": ""})
    made = plan(one, (), of_mesh, DISCOVERY, marked=False)
    assert (made.agent["SECRET_TTL"], made.agent["ECC_SIGNATURE_ALGORITHM"]) == ("1h", "")
    assert made.agent["TRUST_DOMAIN"] == "example.org"
    assert made.start.node.metadata["IDLE_TIMEOUT"] == "5s"
    assert made.note == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("concurrency: 3", "not concurrency", id="fields that the lab does not read"),
        pytest.param("proxyMetadata: [1]", "cannot be read", id="another type"),
        pytest.param("{", "cannot be read", id="no YAML"),
    ],
)
def test_what_of_a_proxys_configuration_is_not_done_is_said(text, word):
    assert word in planned(pod("a", "10.44.1.1", annotations={"proxy.istio.io/config": text})).note


def test_names_are_captured_where_the_agent_answers_for_them():
    text = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}'
    made = planned(pod("a", "10.44.1.1", annotations={"proxy.istio.io/config": text}))
    assert made.capture.captures_dns
    assert not planned(pod("a", "10.44.1.1")).capture.captures_dns


def test_clients_addresses_are_kept_under_redirect_where_an_annotation_asks():
    one = pod("a", "10.44.1.1", annotations={"traffic.pilotpy.dev/preserveClientAddress": "true"})
    made = planned(one)
    assert made.capture.mode is Mode.REDIRECT
    assert made.capture.client_address
    assert made.borrows_addresses
    assert made.start.node.metadata["PRESERVE_CLIENT_ADDRESS"] == "true"
    assert not planned(pod("a", "10.44.1.1")).borrows_addresses
    marked = planned(one, marked=True)
    assert not marked.capture.client_address
    assert "PRESERVE_CLIENT_ADDRESS" not in marked.start.node.metadata
    assert "as root" in marked.note


def test_without_users_tproxy_becomes_redirect_and_says_so():
    made = planned(pod("a", "10.44.1.1", annotations={"sidecar.istio.io/interceptionMode": "TPROXY"}), marked=True)
    assert made.capture.mode is Mode.REDIRECT
    assert made.start.node.metadata["INTERCEPTION_MODE"] == "REDIRECT"
    assert "as root" in made.note
