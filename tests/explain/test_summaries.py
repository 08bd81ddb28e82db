"""Rows and words of what proxies have, where a recorded dump does not show it."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy.explain import summary_clusters, summary_endpoints, summary_listeners, summary_routes, summary_secrets
from pilotpy.explain.config_dump import ConfigDump, HeldSecret
from pilotpy.explain.redaction import redacted
from pilotpy.explain.summary_clusters import ClusterFilter, ClusterName
from pilotpy.explain.sync_status import age, proxy_status, rows

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HIDDEN = b64encode(b"[redacted]").decode()
MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        pytest.param("outbound|80|v1|a.b.svc", ("outbound", 80, "v1", "a.b.svc"), id="a subset"),
        pytest.param("inbound|8080||", ("inbound", 8080, "", ""), id="a port of its own"),
        pytest.param("outbound_.80_._.a.b.svc", ("outbound", 80, "", "a.b.svc"), id="a name for SNI"),
        pytest.param("outbound_.80_.v1_.a.b.svc", ("outbound", 80, "v1", "a.b.svc"), id="a subset's name for SNI"),
        pytest.param("PassthroughCluster", ("", 0, "", "PassthroughCluster"), id="a name of one part"),
        pytest.param("a|b|c|d", ("", 0, "", "a|b|c|d"), id="four parts without a port"),
    ],
)
def test_the_name_of_a_cluster_has_four_parts_or_one(name, parts):
    assert ClusterName.of(name) == parts


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        pytest.param(ClusterFilter(), 3, id="nothing is asked for: all"),
        pytest.param(ClusterFilter(fqdn="a.b"), 2, id="part of a host"),
        pytest.param(ClusterFilter(port=80), 1, id="a port"),
        pytest.param(ClusterFilter(fqdn="80"), 0, id="a port is no part of a host"),
        pytest.param(ClusterFilter(direction="INBOUND"), 1, id="a direction in capitals"),
    ],
)
def test_filters_look_at_parts_of_names(wanted, shown):
    clusters = [{"name": name} for name in ("outbound|80||a.b", "inbound|8080||", "outbound|81||a.b")]
    assert len(summary_clusters.in_order(clusters, wanted)) == shown


@pytest.mark.parametrize(
    ("filters", "destination"),
    [
        pytest.param([{"typed_config": {"@type": PROXY, "cluster": "a"}}], "Cluster: a", id="a cluster"),
        pytest.param(
            [{"typed_config": {"@type": PROXY, "cluster": "BlackHoleCluster"}}], "Non-HTTP/Non-TCP", id="none"
        ),
        pytest.param(
            [{"typed_config": {"@type": PROXY, "weighted_clusters": {"clusters": [{"name": "a", "weight": 1}]}}}],
            "Cluster: a (1)",
            id="shares",
        ),
        pytest.param([{"typed_config": {"@type": MANAGER, "rds": {"route_config_name": "80"}}}], "Route: 80", id="RDS"),
        pytest.param([{"typed_config": {"@type": MANAGER}}], "HTTP", id="scoped routes"),
        pytest.param([{"name": "envoy.filters.network.mongo"}], "Non-HTTP/Non-TCP", id="something else"),
    ],
)
def test_a_chain_leads_where_its_last_filter_does(filters, destination):
    assert summary_listeners.rows([{"filter_chains": [{"filters": filters}]}])[0][-1] == destination


def test_the_domains_of_a_host_are_told_once_and_shortly():
    names = [
        "a",
        "a.ns",
        "a.ns.svc",
        "a.ns.svc.cluster.local",
        "a.ns.svc.cluster.local.",
        "a:80",
        "10.0.0.1",
        "[fd::1]",
    ]
    host = {"name": "a", "domains": names, "routes": [{"match": {"path": "/x"}}]}
    assert summary_routes.rows([{"name": "80", "virtual_hosts": [host]}]) == [
        ("80", "a", "a, a.ns + 3 more...", "/x", "", "-")
    ]


def test_a_host_without_routes_answers_404():
    (row,) = summary_routes.rows([{"name": "80", "virtual_hosts": [{"name": "blackhole", "domains": ["*"]}]}])
    assert row[-2:] == ("404", "")


def test_an_endpoint_that_was_put_aside_failed_its_check():
    host = {
        "address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}},
        "health_status": {"failed_outlier_check": True, "eds_health_status": "HEALTHY"},
    }
    (row,) = summary_endpoints.host_rows([{"name": "a", "host_statuses": [host]}])
    assert row == ("10.0.0.1:80", "HEALTHY", "FAILED", "a")


def certificate(*, authority: bool, begins: datetime, days: int) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 0x2A, begins, begins + timedelta(days=days))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .sign(key, SHA256())
    )
    return b64encode(made.public_bytes(encoding=Encoding.PEM)).decode()


def test_certificates_are_told_with_their_time():
    leaf = certificate(authority=False, begins=NOW - timedelta(days=2), days=1)
    root = certificate(authority=True, begins=NOW - timedelta(days=2), days=3)
    secrets = [
        HeldSecret("default", "ACTIVE", {"tls_certificate": {"certificate_chain": {"inline_bytes": leaf}}}),
        HeldSecret("ROOTCA", "ACTIVE", {"validation_context": {"trusted_ca": {"inline_bytes": root}}}),
        HeldSecret("kubernetes://late", "WARMING", {}),
        HeldSecret("broken", "ACTIVE", {"validation_context": {"trusted_ca": {"inline_bytes": HIDDEN}}}),
        HeldSecret("worse", "ACTIVE", {"validation_context": {"trusted_ca": {"inline_bytes": "%%%"}}}),
    ]
    number = f"{0x2A:032x}"
    assert summary_secrets.rows(secrets, NOW) == [
        ("default", "Cert Chain", "ACTIVE", "false", number, "2026-02-28T00:00:00Z", "2026-02-27T00:00:00Z"),
        ("ROOTCA", "CA", "ACTIVE", "true", number, "2026-03-02T00:00:00Z", "2026-02-27T00:00:00Z"),
        ("kubernetes://late", "-", "WARMING", "false", "-", "-", "-"),
        ("broken", "-", "ACTIVE", "false", "-", "-", "-"),
        ("worse", "-", "ACTIVE", "false", "-", "-", "-"),
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        pytest.param({"private_key": {"inline_bytes": "a2V5"}}, {"private_key": {"inline_bytes": HIDDEN}}, id="a key"),
        pytest.param(
            {"private_key": {"inline_string": "key"}}, {"private_key": {"inline_string": "[redacted]"}}, id="as a text"
        ),
        pytest.param({"private_key": {"filename": "/key"}}, {"private_key": {"filename": "/key"}}, id="where one lies"),
        pytest.param({"password": "x"}, {"password": "[redacted]"}, id="a password"),
        pytest.param(
            {"session_ticket_keys": {"keys": [{"inline_bytes": "a2V5"}]}},
            {"session_ticket_keys": {"keys": [{"inline_bytes": HIDDEN}]}},
            id="keys of tickets",
        ),
        pytest.param(
            {"generic_secret": {"secrets": {"a": {"inline_string": "x"}}}},
            {"generic_secret": {"secrets": {"a": {"inline_string": "[redacted]"}}}},
            id="secrets by name",
        ),
        pytest.param(
            {"key_values": {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "x", "A": "b"}},
            {"key_values": {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "[redacted]", "A": "b"}},
            id="what images are pulled with",
        ),
        pytest.param(
            {"privateKey": {"inlineBytes": "a2V5"}}, {"privateKey": {"inlineBytes": HIDDEN}}, id="in ProtoJSON"
        ),
        pytest.param(
            {"local_jwks": {"inline_string": '{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"RSA","n":"1"}]}'}},
            {"local_jwks": {"inline_string": '{"keys":[{"kty":"oct","k":"[redacted]"},{"kty":"RSA","n":"1"}]}'}},
            id="what an issuer shares with its verifiers",
        ),
        pytest.param(
            {"localJwks": {"inlineString": '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'}},
            {"localJwks": {"inlineString": '{"keys":[{"kty":"oct","k":"[redacted]"}]}'}},
            id="the same in ProtoJSON",
        ),
        pytest.param(
            {"local_jwks": {"inline_string": "secret"}},
            {"local_jwks": {"inline_string": "[redacted]"}},
            id="no set at all",
        ),
        pytest.param(
            {"local_jwks": {"inline_string": '{"keys": [{"kty": "RSA"}]}'}},
            {"local_jwks": {"inline_string": '{"keys": [{"kty": "RSA"}]}'}},
            id="nothing of a public key",
        ),
        pytest.param(
            {"trusted_ca": {"inline_bytes": "cm9vdA=="}}, {"trusted_ca": {"inline_bytes": "cm9vdA=="}}, id="a root"
        ),
    ],
)
def test_no_secret_is_shown(given, shown):
    assert redacted({"a": [{"b": given}]}) == {"a": [{"b": shown}]}


@pytest.mark.parametrize("of", ["tls_certificate", "tlsCertificate"], ids=["as Envoy writes it", "as istiod does"])
def test_a_dump_holds_no_key_from_the_start(of):
    key = "private_key" if "_" in of else "privateKey"
    given = "inline_bytes" if "_" in of else "inlineBytes"
    field = "dynamic_active_secrets" if "_" in of else "dynamicActiveSecrets"
    secret = '"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "a"'
    text = (
        f'{{"configs": [{{"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "{field}": '
        f'[{{"name": "a", "secret": {{{secret}, "{of}": {{"{key}": {{"{given}": "a2V5"}}}}}}}}]}}]}}'
    )
    (held,) = ConfigDump.of(text).secrets
    assert held.secret["tls_certificate"]["private_key"] == {"inline_bytes": HIDDEN}


SENT = {"sent": "a/2", "sentTime": "2026-02-28T23:58:50Z"}


@pytest.mark.parametrize(
    ("said", "text"),
    [
        pytest.param({}, "NOT SENT", id="nothing was sent"),
        pytest.param(SENT | {"acked": "a/2"}, "SYNCED (70s)", id="all was taken"),
        pytest.param(SENT | {"acked": "a/1"}, "STALE (70s)", id="it took what was before"),
        pytest.param(SENT, "STALE (Never Acknowledged)", id="it never answered"),
        pytest.param(SENT | {"acked": "a/2", "lastError": "bad"}, "ERROR (70s)", id="it refused"),
        pytest.param({"sent": "a", "acked": "a", "sentTime": "0001-01-01T00:00:00Z"}, "SYNCED", id="nobody knows when"),
    ],
)
def test_a_type_is_as_far_as_its_answers(said, text):
    status = proxy_status({"proxy": "a.b", "resources": {"type.googleapis.com/envoy.config.cluster.v3.Cluster": said}})
    assert rows([status], "here", NOW) == [("a.b", "", text, *["IGNORED"] * 4, "here", "")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (3600, "60m"),
        (4 * 3600 + 600, "4h10m"),
        (10 * 3600, "10h"),
        (50 * 3600, "2d2h"),
        (20 * 86400, "20d"),
        (3 * 365 * 86400, "3y"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_ages_are_written_as_kubectl_writes_them(seconds, text):
    assert age(timedelta(seconds=seconds)) == text
