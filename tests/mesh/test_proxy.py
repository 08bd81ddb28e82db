import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.model.resource import Finding

ID = "sidecar~10.1.2.3~web-7d9.shop~shop.svc.cluster.local"


_WORDS = ["10.0.0.1", "fe80::1%eth0", "true", "1.2.3", "{}", "[]", "[[[[", '{"a": NaN}', "9" * 5000, "1e309", "\ud800"]
_LEAF = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=12) | st.sampled_from(_WORDS)
_VALUE = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
_READ = [
    "CLUSTER_ID",
    "DNS_CAPTURE",
    "ENVOY_PROMETHEUS_PORT",
    "ENVOY_STATUS_PORT",
    "HTTP10",
    "HTTP_PROXY_PORT",
    "IDLE_TIMEOUT",
    "INBOUND_LISTENER_EXACT_BALANCE",
    "INSTANCE_IPS",
    "INTERCEPTION_MODE",
    "ISTIO_VERSION",
    "LABELS",
    "NAMESPACE",
    "NETWORK",
    "NODE_NAME",
    "POD_PORTS",
    "PRESERVE_CLIENT_ADDRESS",
    "PROXY_CONFIG",
    "SERVICE_ACCOUNT",
    "STATIC_LABELS",
    "TLS_CLIENT_KEY",
    "UNPRIVILEGED_POD",
    "WORKLOAD_NAME",
]


@given(
    id_=st.text(max_size=30) | st.lists(st.sampled_from(["sidecar", *_WORDS]), max_size=5).map("~".join),
    metadata=st.dictionaries(st.sampled_from(_READ) | st.text(max_size=5), _VALUE, max_size=6),
)
def test_whatever_a_node_says_is_a_proxy_or_a_finding(id_, metadata):
    assert isinstance(proxy_from_node(id_, metadata), Proxy | Finding)


def test_a_node_is_its_id_where_the_metadata_says_nothing():
    proxy = proxy_from_node(ID, {})
    assert isinstance(proxy, Proxy)
    assert (proxy.type, proxy.ips, proxy.name, proxy.namespace) == ("sidecar", ("10.1.2.3",), "web-7d9", "shop")
    assert (proxy.istio, proxy.minor, proxy.interception, proxy.cluster) == (False, 65535, "REDIRECT", "")


@pytest.mark.parametrize(
    ("metadata", "field", "expected"),
    [
        pytest.param({"INSTANCE_IPS": "10.0.0.1,fd00::1"}, "ips", ("10.0.0.1", "fd00::1"), id="addresses"),
        pytest.param({"INSTANCE_IPS": "10.0.0.1,no"}, "ips", ("10.1.2.3",), id="addresses: all or none"),
        pytest.param({"NAMESPACE": "other"}, "namespace", "other", id="the namespace wins over the domain"),
        pytest.param({"LABELS": {"b": "2", "a": "1"}}, "labels", (("a", "1"), ("b", "2")), id="labels as an object"),
        pytest.param({"LABELS": '{"a": "1"}'}, "labels", (("a", "1"),), id="labels as a text"),
        pytest.param({"ISTIO_VERSION": "1.27.3"}, "minor", 27, id="a version"),
        pytest.param({"ISTIO_VERSION": "release-1.26.0-dev"}, "minor", 26, id="a version with a prefix and a suffix"),
        pytest.param({"ISTIO_VERSION": "1.27"}, "minor", 65535, id="a version without a patch is the newest"),
        pytest.param({"ISTIO_VERSION": "1.27.3"}, "istio", True, id="a version tells Istio's Envoy"),
        pytest.param({"INTERCEPTION_MODE": "TPROXY"}, "interception", "TPROXY", id="a mode of capture"),
        pytest.param({"INTERCEPTION_MODE": "other"}, "interception", "REDIRECT", id="an unknown mode of capture"),
        pytest.param({"HTTP10": "1"}, "http10", True, id="HTTP/1.0"),
        pytest.param({"DNS_CAPTURE": "true"}, "dns_capture", True, id="a boolean as a text"),
        pytest.param({"DNS_CAPTURE": True}, "dns_capture", True, id="a boolean as such"),
        pytest.param({"HTTP_PROXY_PORT": 8888.0}, "http_proxy_port", 8888, id="a number as protobuf's Struct has it"),
        pytest.param({"ENVOY_STATUS_PORT": "15121"}, "reserved", (15121, 15090), id="a reserved port"),
        pytest.param({"PROXY_CONFIG": {"b": 1, "a": 2}}, "proxy_config", '{"a":2,"b":1}', id="settings, canonical"),
    ],
)
def test_metadata(metadata, field, expected):
    assert getattr(proxy_from_node(ID, metadata), field) == expected


def test_container_ports_are_json_in_a_text():
    proxy = proxy_from_node(ID, {"POD_PORTS": '[{"name":"web","containerPort":8080,"protocol":"TCP"}]'})
    assert [(port.name, port.container_port) for port in proxy.pod_ports] == [("web", 8080)]


def test_extensions_tell_more_than_a_version():
    assert not proxy_from_node(ID, {"ISTIO_VERSION": "1.27.3"}, extensions=("envoy.filters.http.router",)).istio
    assert proxy_from_node(ID, {}, extensions=("envoy.filters.http.router", "istio.stats")).istio


@pytest.mark.parametrize(
    ("node_id", "metadata", "says"),
    [
        pytest.param("", {}, "not of the form", id="an empty id"),
        pytest.param("sidecar~10.1.2.3~web.shop", {}, "not of the form", id="three parts"),
        pytest.param(ID + "~more", {}, "not of the form", id="five parts"),
        pytest.param(ID.replace("sidecar", "car"), {}, "unknown type 'car'", id="an unknown type"),
        *(
            pytest.param(ID.replace("sidecar", kind), {}, "only sidecars are served", id=f"a {kind}")
            for kind in ("router", "waypoint", "ztunnel", "agentgateway")
        ),
        pytest.param(ID.replace("10.1.2.3", "here"), {}, "no valid address", id="no address at all"),
        pytest.param(ID, {"LABELS": "{"}, "LABELS is not JSON", id="labels that do not parse"),
        pytest.param(ID, {"LABELS": {"a": 1}}, "LABELS does not map", id="labels that are no texts"),
        pytest.param(ID, {"LABELS": [1]}, "LABELS does not map", id="labels that are a list"),
        pytest.param(ID, {"POD_PORTS": "8080"}, "POD_PORTS", id="ports that are no list"),
        pytest.param(ID, {"HTTP_PROXY_PORT": "99999"}, "not a port", id="a port out of range"),
        pytest.param(ID, {"NAMESPACE": ["x"]}, "NAMESPACE is not a string", id="a list for a text"),
        pytest.param(ID, {"PROXY_CONFIG": "[]"}, "PROXY_CONFIG is not an object", id="settings that are no object"),
    ],
)
def test_what_is_malformed_is_said(node_id, metadata, says):
    found = proxy_from_node(node_id, metadata)
    assert isinstance(found, Finding)
    assert says in found.message


def test_a_huge_node_id_makes_no_huge_finding():
    found = proxy_from_node("x" * 1_000_000, {})
    assert isinstance(found, Finding)
    assert len(found.message) < 1000
