"""What an agent makes of its environment."""

from datetime import timedelta
from pathlib import Path

import pytest

from pilotpy.agent.environment import node
from pilotpy.agent.key import KeyType
from pilotpy.agent.settings import AgentSettings
from pilotpy.ops.settings import Wrong

POD = {"POD_NAME": "web-1", "POD_NAMESPACE": "shop", "INSTANCE_IP": "10.0.0.1", "SERVICE_ACCOUNT": "web"}


def test_defaults_are_those_of_istio(tmp_path):
    made = AgentSettings.of(POD, tmp_path)
    assert made.terms.identity == "spiffe://cluster.local/ns/shop/sa/web"
    assert (made.terms.key_type, made.terms.life) == (KeyType.RSA_2048, timedelta(hours=24))
    assert (made.terms.grace_ratio, made.terms.grace_jitter) == (0.5, 0.01)
    assert made.plane.address == made.authority.address == "istiod.istio-system.svc:15012"
    assert made.plane.roots == tmp_path / "var/run/secrets/istio/root-cert.pem"
    assert made.plane.token == tmp_path / "var/run/secrets/tokens/istio-token"
    assert made.sds_socket == tmp_path / "var/run/secrets/workload-spiffe-uds/socket"
    assert made.xds_socket == tmp_path / "etc/istio/proxy/XDS"
    assert (made.farewell.duration, made.farewell.until_idle) == (timedelta(seconds=5), False)
    assert (made.status_port, made.admin_port, made.resolver, made.output) == (15020, 15000, None, None)


@pytest.mark.parametrize(
    ("environment", "path", "value"),
    [
        pytest.param({"TRUST_DOMAIN": "a@b"}, "terms.identity", "spiffe://a.b/ns/shop/sa/web", id="a trust domain"),
        pytest.param({"CA_ADDR": "ca:1"}, "authority.address", "ca:1", id="an authority apart"),
        pytest.param({"ECC_SIGNATURE_ALGORITHM": "ECDSA"}, "terms.key_type", KeyType.P256, id="an elliptic key"),
        pytest.param(
            {"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P384"}, "terms.key_type", KeyType.P384, id="a curve"
        ),
        pytest.param({"WORKLOAD_RSA_KEY_SIZE": "4096"}, "terms.key_type", KeyType.RSA_4096, id="a longer key"),
        pytest.param({"SECRET_TTL": "1h30m"}, "terms.life", timedelta(minutes=90), id="a life"),
        pytest.param({"XDS_ROOT_CA": "SYSTEM"}, "plane.roots", None, id="the system's roots"),
        pytest.param({"CA_ROOT_CA": "/r.pem"}, "authority.roots", Path("/r.pem"), id="a root of the authority's own"),
        pytest.param({"PROV_CERT": "/c"}, "plane.certificates", Path("/c"), id="a provided certificate"),
        pytest.param({"PROV_CERT": "/c"}, "plane.token", None, id="a provided certificate stands for the token"),
        pytest.param({"XDS_HEADER_X_A": "1"}, "plane.headers", (("x_a", "1"),), id="a header"),
        pytest.param({"XDS_HEADER_X_A": "1"}, "authority.headers", (), id="a header that is not for the authority"),
        pytest.param(
            {"PROXY_CONFIG": '{"discoveryAddress": "d:15012", "more": 1}'}, "plane.address", "d:15012", id="ProxyConfig"
        ),
        pytest.param(
            {"PROXY_CONFIG": "terminationDrainDuration: 20s"},
            "farewell.duration",
            timedelta(seconds=20),
            id="ProxyConfig in YAML",
        ),
        pytest.param({"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}, "farewell.until_idle", True, id="until idle"),
        pytest.param({"ISTIO_META_DNS_CAPTURE": "true"}, "resolver.port", 15053, id="names"),
        pytest.param({"PROXY_CONFIG": "discoveryAddress: d:15010"}, "plane.plaintext", True, id="the port without TLS"),
    ],
)
def test_a_variable_is_read(environment, path, value, tmp_path):
    found = AgentSettings.of(POD | environment, tmp_path)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SECRET_TTL", "long"),
        ("PROXY_CONFIG", "{"),
        ("SECRET_GRACE_PERIOD_RATIO", "2"),
        ("WORKLOAD_RSA_KEY_SIZE", "512"),
        ("WORKLOAD_IDENTITY_SOCKET_FILE", "../socket"),
        ("PROXY_CONFIG", "[1]"),
        ("ISTIO_KUBE_APP_PROBERS", "{"),
        ("ISTIO_KUBE_APP_PROBERS", '{"/a": {"exec": {"command": ["true"]}}}'),
        ("PROXY_CONFIG", "readinessProbe: {periodSeconds: 5}"),
        ("ISTIO_KUBE_APP_PROBERS", '{"/a": {"httpGet": {"port": "http"}}}'),
        ("ISTIO_PROMETHEUS_ANNOTATIONS", '{"scrape": "true", "port": "15090"}'),
        ("ISTIO_PROMETHEUS_ANNOTATIONS", '{"scrape": "true", "port": "x"}'),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(variable, text, tmp_path):
    with pytest.raises(Wrong, match=r"^[A-Z_]+.* .*\w+"):
        AgentSettings.of(POD | {variable: text}, tmp_path)


def test_the_resolver_is_that_of_the_pod(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text(
        "search shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\n"
    )
    resolver = AgentSettings.of(POD | {"ISTIO_META_DNS_CAPTURE": "true"}, tmp_path).resolver
    assert (resolver.search, resolver.servers) == ("shop.svc.cluster.local", ("10.96.0.10", "fe80::1"))
    assert (resolver.namespace, resolver.host) == ("shop", "127.0.0.1")


def test_the_node_is_that_of_the_injected_pod(tmp_path):
    folder = tmp_path / "etc/istio/pod"
    folder.mkdir(parents=True)
    (folder / "labels").write_text('app="web"\npod-template-hash="1"\nquoted="a\\"b"\n')
    made = node(
        POD
        | {
            "ISTIO_META_CLUSTER_ID": "Kubernetes",
            "ISTIO_METAJSON_LABELS": '{"version": "v1"}',
            "ISTIO_META_WORKLOAD_NAME": "web",
        },
        tmp_path,
    )
    assert made.id == "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local"
    assert made.cluster == "web.shop"
    assert made.metadata["LABELS"] == {"app": "web", "quoted": 'a"b', "version": "v1"}
    assert made.metadata["CLUSTER_ID"] == "Kubernetes"
    assert made.metadata["SERVICE_ACCOUNT"] == "web"


def test_a_pod_that_does_not_know_itself_is_told_what_is_missing():
    with pytest.raises(Wrong, match="POD_NAME, INSTANCE_IP"):
        node({"POD_NAMESPACE": "shop"})
