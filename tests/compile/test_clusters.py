"""From services to clusters: what every one has, and what its kind and protocol add."""

import pytest

from pilotpy.model.destination_rule import ConnectionPoolSettings, TcpKeepalive, TCPSettings
from pilotpy.model.mesh_config import DefaultTrafficPolicy, InboundTrafficPolicy, MeshConfig
from pilotpy.model.message import Duration
from tests.compile.upstreams import REVIEWS, REVIEWS_SERVICE, Client, rule

CLUSTER = f"outbound|9080||{REVIEWS}"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
NO_LIMIT = 2**32 - 1


def entry(spec: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: default}}
spec: {spec}
"""


def port_named(name: str) -> str:
    return REVIEWS_SERVICE.replace("name: http", f"name: {name}")


def test_a_plain_service_has_one_cluster_that_asks_for_its_endpoints():
    assert Client(REVIEWS_SERVICE, mesh=MeshConfig(enable_auto_mtls=False)).clusters[CLUSTER] == {
        "name": CLUSTER,
        "alt_stat_name": CLUSTER + ";",
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": CLUSTER,
            "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {}},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": NO_LIMIT,
                    "max_pending_requests": NO_LIMIT,
                    "max_requests": NO_LIMIT,
                    "max_retries": NO_LIMIT,
                }
            ]
        },
        "filters": [
            {
                "name": "istio.metadata_exchange",
                "typed_config": {
                    "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
                    "type_url": "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
                    "value": {"protocol": "istio-peer-exchange", "enable_discovery": True},
                },
            }
        ],
        "metadata": {
            "filter_metadata": {
                "istio": {"services": [{"host": REVIEWS, "name": "reviews", "namespace": "default"}]},
            }
        },
    }


def test_plain_envoy_gets_no_filter_that_it_does_not_have():
    found = Client(REVIEWS_SERVICE, ISTIO_VERSION="").clusters
    assert not [name for name, cluster in found.items() if "filters" in cluster]


def test_the_fallbacks_are_always_there():
    assert list(Client().clusters) == ["BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"]


def test_what_passes_through_goes_where_it_was_meant_to():
    found = Client().clusters
    outbound, inbound = found["PassthroughCluster"], found["InboundPassthroughCluster"]
    assert outbound["type"] == inbound["type"] == "ORIGINAL_DST"
    assert outbound["lb_policy"] == inbound["lb_policy"] == "CLUSTER_PROVIDED"
    assert outbound["alt_stat_name"] == inbound["alt_stat_name"] == "PassthroughCluster;"
    assert inbound["upstream_bind_config"] == {"source_address": {"address": "127.0.0.6", "port_value": 0}}
    assert "filters" not in inbound
    assert outbound["typed_extension_protocol_options"][HTTP] == {
        "@type": f"type.googleapis.com/{HTTP}",
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("http", None, id="one version of HTTP is Envoy's own default"),
        pytest.param("tcp", None, id="TCP speaks no HTTP"),
        pytest.param("grpc", {"explicit_http_config": {"http2_protocol_options": {}}}, id="gRPC is HTTP/2"),
        pytest.param("http2", {"explicit_http_config": {"http2_protocol_options": {}}}, id="HTTP/2 is HTTP/2"),
        pytest.param(
            "web",
            {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}},
            id="what is sniffed is spoken as the client speaks it",
        ),
    ],
)
def test_a_port_is_spoken_to_in_its_protocol(name, options):
    found = Client(port_named(name)).clusters[CLUSTER].get("typed_extension_protocol_options")
    assert found == (options and {HTTP: {"@type": f"type.googleapis.com/{HTTP}", **options}})


def test_a_udp_port_has_no_cluster():
    udp = REVIEWS_SERVICE.replace("port: 9080,", "port: 9080, protocol: UDP,")
    assert CLUSTER not in Client(udp).clusters


def test_an_alias_has_no_cluster():
    alias = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 9080}]}
"""
    assert CLUSTER not in Client(alias).clusters


def test_a_headless_service_passes_connections_through_and_asks_for_no_endpoints():
    client = Client(REVIEWS_SERVICE.replace("10.96.0.10", '"None"'))
    found = client.clusters[CLUSTER]
    assert (found["type"], found["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    assert "eds_cluster_config" not in found
    assert client.assignments == {}


def test_a_service_entry_that_dns_resolves_lists_its_endpoints_in_the_cluster():
    client = Client(
        entry("""
  hosts: [api.example.com]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: a.example.com}, {address: b.example.com, ports: {tls: 8443}}]
""")
    )
    found = client.clusters["outbound|443||api.example.com"]
    assert found["type"] == "STRICT_DNS"
    assert found["dns_lookup_family"] == "V4_ONLY"
    assert found["dns_refresh_rate"] == "60s"
    assert found["dns_jitter"] == "0.100s"
    assert found["respect_dns_ttl"] is True
    assert found["metadata"]["filter_metadata"]["istio"]["external"] is True
    hosts = [
        each["endpoint"]["address"]["socket_address"]
        for group in found["load_assignment"]["endpoints"]
        for each in group["lb_endpoints"]
    ]
    assert hosts == [
        {"address": "a.example.com", "port_value": 443},
        {"address": "b.example.com", "port_value": 8443},
    ]
    assert client.assignments == {}


def test_a_service_entry_without_endpoints_resolves_its_own_host():
    spec = "{hosts: [api.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}"
    found = Client(entry(spec)).clusters["outbound|443||api.example.com"]
    (group,) = found["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] == "api.example.com"


def test_a_dns_subset_without_endpoints_is_left_out_and_said_so():
    spec = "{hosts: [api.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}"
    client = Client(entry(spec), rule("null", host="api.example.com", subsets="[{name: v1, labels: {version: v1}}]"))
    assert "outbound|443|v1|api.example.com" not in client.clusters
    assert [finding.code for finding in client.findings] == ["PP0305"]


def test_a_service_entry_that_resolves_nothing_may_go_to_another_port():
    spec = """
  hosts: [db.example.com]
  addresses: [192.0.2.7]
  resolution: NONE
  ports: [{number: 5432, name: tcp, protocol: TCP, targetPort: 15432}]
"""
    found = Client(entry(spec)).clusters["outbound|5432||db.example.com"]
    assert found["type"] == "ORIGINAL_DST"
    assert found["original_dst_lb_config"] == {"upstream_port_override": 15432}


def test_statistics_are_named_by_the_meshs_pattern():
    mesh = MeshConfig(outbound_cluster_stat_name="%SERVICE%_%SERVICE_PORT_NAME%_%SERVICE_PORT%|%SUBSET_NAME%")
    found = Client(REVIEWS_SERVICE, rule("null", subsets="[{name: v1}]"), mesh=mesh).clusters
    assert found[CLUSTER]["alt_stat_name"] == "reviews.default_http_9080|;"
    assert found[f"outbound|9080|v1|{REVIEWS}"]["alt_stat_name"] == "reviews.default_http_9080|v1;"


def test_the_meshs_settings_hold_where_no_rule_says_otherwise():
    pool = ConnectionPoolSettings(tcp=TCPSettings(max_connections=7))
    mesh = MeshConfig(
        connect_timeout=Duration(seconds=3),
        tcp_keepalive=TcpKeepalive(probes=4),
        default_traffic_policy=DefaultTrafficPolicy(connection_pool=pool),
        h2_upgrade_policy="UPGRADE",
    )
    found = Client(REVIEWS_SERVICE, mesh=mesh).clusters[CLUSTER]
    assert found["connect_timeout"] == "3s"
    assert found["upstream_connection_options"] == {"tcp_keepalive": {"keepalive_probes": 4}}
    assert found["circuit_breakers"]["thresholds"][0]["max_connections"] == 7
    assert "http2_protocol_options" in found["typed_extension_protocol_options"][HTTP]["explicit_http_config"]


POD = """
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: reviews}}
status: {podIP: 10.0.0.100, phase: Running}
"""


def test_the_workloads_own_port_is_reached_as_the_connection_was_going():
    found = Client(POD, REVIEWS_SERVICE).clusters["inbound|8080||"]
    assert found == {
        "name": "inbound|8080||",
        "alt_stat_name": "inbound|8080||;",
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "common_lb_config": {},
        "connect_timeout": "10s",
        "cleanup_interval": "9223372035s",
        "upstream_bind_config": {"source_address": {"address": "127.0.0.6", "port_value": 0}},
        "circuit_breakers": found["circuit_breakers"],
        "metadata": {
            "filter_metadata": {
                "istio": {"services": [{"host": REVIEWS, "name": "reviews", "namespace": "default"}]},
            }
        },
    }


def test_metrics_of_a_port_know_all_services_that_lead_to_it_by_the_same_number():
    younger = REVIEWS_SERVICE.replace("name: reviews", "name: also", 1)
    other = younger.replace("name: also", "name: elsewhere", 1).replace("port: 9080", "port: 81")
    found = Client(POD, REVIEWS_SERVICE, younger, other).clusters["inbound|8080||"]
    services = found["metadata"]["filter_metadata"]["istio"]["services"]
    assert sorted(one["name"] for one in services) == ["also", "reviews"]


def test_the_workloads_own_port_may_be_at_its_loopback():
    mesh = MeshConfig(inbound_traffic_policy=InboundTrafficPolicy(mode="LOCALHOST"))
    found = Client(POD, REVIEWS_SERVICE, mesh=mesh).clusters["inbound|8080||"]
    assert found["type"] == "STATIC"
    (group,) = found["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 8080,
    }
    assert "upstream_bind_config" not in found


def test_a_rule_limits_connections_at_the_workload_too_and_its_sidecar_has_the_last_word():
    limited = rule("{connectionPool: {tcp: {maxConnections: 3}}, outlierDetection: {}}")
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  ingress:
  - {port: {number: 8080, protocol: GRPC, name: grpc}, defaultEndpoint: "unix:///run/app.sock"}
  - {port: {number: 8081, protocol: HTTP, name: http}, connectionPool: {tcp: {maxConnections: 9}}}
  inboundConnectionPool: {tcp: {maxConnections: 5}}
"""
    by_rule = Client(POD, REVIEWS_SERVICE, limited).clusters["inbound|8080||"]
    assert by_rule["circuit_breakers"]["thresholds"][0]["max_connections"] == 3
    assert "outlier_detection" not in by_rule
    assert by_rule["metadata"]["filter_metadata"]["istio"]["config"].endswith("/default/destination-rule/reviews")

    found = Client(POD, REVIEWS_SERVICE, limited, sidecar).clusters
    by_sidecar = found["inbound|8080||"]
    assert by_sidecar["circuit_breakers"]["thresholds"][0]["max_connections"] == 5
    assert by_sidecar["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == {
        "pipe": {"path": "/run/app.sock"}
    }
    assert "http2_protocol_options" in by_sidecar["typed_extension_protocol_options"][HTTP]["explicit_http_config"]
    assert found["inbound|8081||"]["circuit_breakers"]["thresholds"][0]["max_connections"] == 9


def test_all_endpoints_come_before_subsets_and_fallbacks_last():
    found = Client(REVIEWS_SERVICE, rule("null", subsets="[{name: v2}, {name: v1}]"))
    assert list(found.clusters) == [
        CLUSTER,
        f"outbound|9080|v2|{REVIEWS}",
        f"outbound|9080|v1|{REVIEWS}",
        "BlackHoleCluster",
        "PassthroughCluster",
        "InboundPassthroughCluster",
    ]


def test_round_robin_over_dns_resolves_a_single_name():
    client = Client(
        entry("""
  hosts: [api.example.com]
  resolution: DNS_ROUND_ROBIN
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: b.example.com, locality: us}, {address: a.example.com, locality: eu}]
""")
    )
    found = client.clusters["outbound|443||api.example.com"]
    assert found["type"] == "LOGICAL_DNS"
    (group,) = found["load_assignment"]["endpoints"]
    assert [each["endpoint"]["address"]["socket_address"]["address"] for each in group["lb_endpoints"]] == [
        "a.example.com"
    ]
    assert [finding.code for finding in client.findings] == ["PP0306"]
