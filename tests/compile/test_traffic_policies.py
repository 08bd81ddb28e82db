"""What each field of a DestinationRule makes of a cluster."""

import pytest

from pilotpy.model.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    RetryBudget,
    TCPSettings,
    TrafficPolicy,
)
from pilotpy.model.mesh_config import DefaultTrafficPolicy, MeshConfig
from pilotpy.model.mesh_proxy_config import ProxyConfig, ProxyHeaders
from pilotpy.model.resource import Meta, Ref, Resource
from tests.compile.upstreams import REVIEWS, REVIEWS_SERVICE, Client, rule

CLUSTER = f"outbound|9080||{REVIEWS}"
V1 = f"outbound|9080|v1|{REVIEWS}"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
NO_LIMIT = 2**32 - 1
HTTP1 = {"explicit_http_config": {"http_protocol_options": {}}}


def under(policy: str, *, subsets: str = "[]", mesh: MeshConfig | None = None, port: str = "http"):
    service = REVIEWS_SERVICE.replace("name: http", f"name: {port}")
    return Client(service, rule(policy, subsets=subsets), mesh=mesh).clusters


def http_options(cluster):
    options = dict(cluster["typed_extension_protocol_options"][HTTP])
    del options["@type"]
    return options


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        pytest.param("{simple: LEAST_REQUEST}", {"lb_policy": "LEAST_REQUEST"}, id="least requests"),
        pytest.param("{simple: LEAST_CONN}", {"lb_policy": "LEAST_REQUEST"}, id="its older name"),
        pytest.param("{simple: UNSPECIFIED}", {"lb_policy": "LEAST_REQUEST"}, id="unspecified is the default"),
        pytest.param("{simple: ROUND_ROBIN}", {}, id="round robin is Envoy's own zero"),
        pytest.param("{simple: RANDOM}", {"lb_policy": "RANDOM"}, id="random"),
        pytest.param(
            "{simple: ROUND_ROBIN, warmupDurationSecs: 30s}",
            {"round_robin_lb_config": {"slow_start_config": {"slow_start_window": "30s"}}},
            id="the older warm-up leaves the rest to Envoy",
        ),
        pytest.param(
            "{simple: LEAST_REQUEST, warmup: {duration: 60s, minimumPercent: 20, aggression: 1.5}}",
            {
                "lb_policy": "LEAST_REQUEST",
                "least_request_lb_config": {
                    "slow_start_config": {
                        "slow_start_window": "60s",
                        "aggression": {"default_value": 1.5, "runtime_key": "("},
                        "min_weight_percent": {"value": 20.0},
                    }
                },
            },
            id="warm-up with all its parameters",
        ),
        pytest.param(
            "{consistentHash: {httpHeaderName: user}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": "1024"}},
            id="hashing without an algorithm is a ring",
        ),
        pytest.param(
            "{consistentHash: {useSourceIp: true, minimumRingSize: 64}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": "64"}},
            id="the older ring size",
        ),
        pytest.param(
            "{consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 2048}}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": "2048"}},
            id="a ring of a size",
        ),
        pytest.param(
            "{consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}",
            {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": "65537"}},
            id="Maglev",
        ),
    ],
)
def test_load_balancing(balancer, expected):
    found = under(f"{{loadBalancer: {balancer}}}")[CLUSTER]
    assert {name: found[name] for name in found if name.startswith("lb_") or name.endswith("_lb_config")} == {
        **expected,
        "common_lb_config": found["common_lb_config"],
    }


def test_a_passthrough_balancer_keeps_the_clients_destination():
    client = Client(REVIEWS_SERVICE, rule("{loadBalancer: {simple: PASSTHROUGH}}"))
    found = client.clusters[CLUSTER]
    assert (found["type"], found["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    assert "eds_cluster_config" not in found
    assert client.assignments == {}


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        pytest.param("{tcp: {maxConnections: 5}}", {"max_connections": 5}, id="connections"),
        pytest.param("{http: {http1MaxPendingRequests: 6}}", {"max_pending_requests": 6}, id="waiting requests"),
        pytest.param("{http: {http2MaxRequests: 7}}", {"max_requests": 7}, id="requests"),
        pytest.param("{http: {maxRetries: 8}}", {"max_retries": 8}, id="retries"),
        pytest.param("{tcp: {maxConnections: 0}}", {}, id="nought is no limit"),
    ],
)
def test_limits(pool, expected):
    (thresholds,) = under(f"{{connectionPool: {pool}}}")[CLUSTER]["circuit_breakers"]["thresholds"]
    unlimited = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), NO_LIMIT)
    assert thresholds == {**unlimited, **expected}


def test_a_retry_budget():
    (thresholds,) = under("{retryBudget: {percent: 12.5}}")[CLUSTER]["circuit_breakers"]["thresholds"]
    assert thresholds["retry_budget"] == {"budget_percent": {"value": 12.5}, "min_retry_concurrency": 3}


def test_connections_of_tcp():
    pool = "{tcp: {connectTimeout: 250ms, tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}}}"
    found = under(f"{{connectionPool: {pool}}}")[CLUSTER]
    assert found["connect_timeout"] == "0.250s"
    assert found["upstream_connection_options"]["tcp_keepalive"] == {
        "keepalive_probes": 3,
        "keepalive_time": 7200,
        "keepalive_interval": 75,
    }


def test_an_empty_keepalive_turns_it_on_as_the_system_has_it():
    found = under("{connectionPool: {tcp: {tcpKeepalive: {}}}}")[CLUSTER]
    assert found["upstream_connection_options"] == {"tcp_keepalive": {}}


@pytest.mark.parametrize(
    ("port", "pool", "expected"),
    [
        pytest.param(
            "http",
            "{tcp: {idleTimeout: 3s, maxConnectionDuration: 60s}, http: {maxRequestsPerConnection: 10}}",
            {
                "common_http_protocol_options": {
                    "idle_timeout": "3s",
                    "max_connection_duration": "60s",
                    "max_requests_per_connection": 10,
                },
                **HTTP1,
            },
            id="limits of a connection come with a protocol, which Envoy demands",
        ),
        pytest.param(
            "http",
            "{tcp: {idleTimeout: 3s}, http: {idleTimeout: 5s}}",
            {"common_http_protocol_options": {"idle_timeout": "5s"}, **HTTP1},
            id="HTTP's idle timeout comes before TCP's",
        ),
        pytest.param(
            "http",
            "{http: {h2UpgradePolicy: UPGRADE}}",
            {"explicit_http_config": {"http2_protocol_options": {}}},
            id="upgraded to HTTP/2",
        ),
        pytest.param(
            "http",
            "{http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}",
            {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}},
            id="the client's protocol comes before an upgrade",
        ),
        pytest.param(
            "grpc",
            "{http: {maxConcurrentStreams: 50, http2KeepAlive: {interval: 10s, timeout: 2s}}}",
            {
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "max_concurrent_streams": 50,
                        "connection_keepalive": {"interval": "10s", "timeout": "2s"},
                    }
                }
            },
            id="streams and pings of HTTP/2",
        ),
    ],
)
def test_connections_of_http(port, pool, expected):
    assert http_options(under(f"{{connectionPool: {pool}}}", port=port)[CLUSTER]) == expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param("http", ["explicit_http_config"], id="a port of HTTP speaks HTTP/1.1"),
        pytest.param("auto", ["use_downstream_protocol_config"], id="a port that is sniffed may"),
        pytest.param("grpc", [], id="HTTP/2 has lower case alone"),
        pytest.param("tcp", [], id="TCP has no headers"),
    ],
)
def test_the_case_of_headers_is_kept_where_the_mesh_wants_it(port, expected):
    headers = ProxyHeaders(preserve_http1_header_case=True)
    mesh = MeshConfig(default_config=ProxyConfig(proxy_headers=headers))
    found = under("null", mesh=mesh, port=port)[CLUSTER]
    options = http_options(found) if "typed_extension_protocol_options" in found else {}
    kept = [way for way, one in options.items() if "header_key_format" in one.get("http_protocol_options", {})]
    assert kept == expected


def test_limits_that_only_http2_has_are_said_to_be_idle_elsewhere():
    pool = "{http: {maxConcurrentStreams: 50, http2KeepAlive: {interval: 10s}}}"
    client = Client(REVIEWS_SERVICE, rule(f"{{connectionPool: {pool}}}"))
    assert "typed_extension_protocol_options" not in client.clusters[CLUSTER]
    assert [finding.code for finding in client.findings] == ["PP0303", "PP0303"]
    spoken = Client(REVIEWS_SERVICE.replace("name: http", "name: grpc"), rule(f"{{connectionPool: {pool}}}"))
    assert spoken.findings == []


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        pytest.param("{}", {}, id="an empty one turns it on as Envoy has it"),
        pytest.param(
            "{consecutive5xxErrors: 5, interval: 30s, baseEjectionTime: 30s, maxEjectionPercent: 50}",
            {
                "consecutive_5xx": 5,
                "enforcing_consecutive_5xx": 100,
                "interval": "30s",
                "base_ejection_time": "30s",
                "max_ejection_percent": 50,
            },
            id="errors of the server",
        ),
        pytest.param(
            "{consecutive5xxErrors: 0, consecutiveGatewayErrors: 3}",
            {
                "consecutive_5xx": 0,
                "enforcing_consecutive_5xx": 0,
                "consecutive_gateway_failure": 3,
                "enforcing_consecutive_gateway_failure": 100,
            },
            id="nought turns one kind of error off",
        ),
        pytest.param(
            "{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4}",
            {
                "split_external_local_origin_errors": True,
                "enforcing_local_origin_success_rate": 0,
                "consecutive_local_origin_failure": 4,
                "enforcing_consecutive_local_origin_failure": 100,
            },
            id="connections that fail, by themselves",
        ),
    ],
)
def test_outlier_detection(detection, expected):
    found = under(f"{{outlierDetection: {detection}}}")[CLUSTER]
    assert found["outlier_detection"] == {"enforcing_success_rate": 0, **expected}


def test_how_many_endpoints_must_be_healthy():
    found = under("{outlierDetection: {minHealthPercent: 30}}")[CLUSTER]
    assert found["common_lb_config"]["healthy_panic_threshold"] == {"value": 30.0}


def test_which_statuses_are_errors():
    options = http_options(under("{outlierDetection: {outlierDetectionHttpErrorCodes: [429, 503]}}")[CLUSTER])
    rules = options["outlier_detection"]["error_matcher"]["or_match"]["rules"]
    headers = [rule["http_response_headers_match"]["headers"] for rule in rules]
    assert headers == [
        [{"name": ":status", "string_match": {"exact": "429"}}],
        [{"name": ":status", "string_match": {"exact": "503"}}],
    ]


@pytest.mark.parametrize(
    ("policy", "weighted"),
    [
        pytest.param("{outlierDetection: {}}", False, id="the mesh's own failover needs no weights"),
        pytest.param(
            "{loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}", False, id="nothing fails over unseen"
        ),
        pytest.param(
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}",
            True,
            id="failover that a user wrote",
        ),
        pytest.param(
            '{loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {"a/*": 80, "b/*": 20}}]}}}',
            True,
            id="shares need weights, and no outlier detection",
        ),
    ],
)
def test_whether_localities_are_weighed(policy, weighted):
    common = under(policy)[CLUSTER]["common_lb_config"]
    assert ("locality_weighted_lb_config" in common) is weighted


def test_zone_aware_balancing():
    on = under("{loadBalancer: {zoneAwareLbSetting: {minClusterSize: 3}}}")[CLUSTER]
    assert on["common_lb_config"]["zone_aware_lb_config"] == {"min_cluster_size": "3"}
    off = under("{loadBalancer: {zoneAwareLbSetting: {enabled: false}}}")[CLUSTER]
    assert off["common_lb_config"]["zone_aware_lb_config"] == {"routing_enabled": {}}


def test_the_proxy_protocol_comes_before_everything():
    off = MeshConfig(enable_auto_mtls=False)
    socket = under("{proxyProtocol: {version: V2}}", mesh=off)[CLUSTER]["transport_socket"]
    assert socket["name"] == "envoy.transport_sockets.upstream_proxy_protocol"
    assert socket["typed_config"]["config"] == {"version": "V2"}
    assert socket["typed_config"]["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"


def test_a_subset_says_whose_it_is():
    found = under("null", subsets="[{name: v1, labels: {version: v1}}]")[V1]
    assert found["metadata"]["filter_metadata"]["istio"] == {
        "services": [{"host": REVIEWS, "name": "reviews", "namespace": "default"}],
        "config": "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews",
        "subset": "v1",
    }
    assert found["eds_cluster_config"]["service_name"] == V1


def test_a_subset_overrides_block_by_block():
    found = under(
        "{connectionPool: {tcp: {maxConnections: 5}}, outlierDetection: {}}",
        subsets="[{name: v1, trafficPolicy: {connectionPool: {http: {maxRetries: 2}}}}]",
    )
    limits = found[V1]["circuit_breakers"]["thresholds"][0]
    assert (limits["max_retries"], limits["max_connections"]) == (2, NO_LIMIT)
    assert "outlier_detection" in found[V1]


def test_a_port_inherits_nothing():
    ports = "[{port: {number: 9080}, connectionPool: {http: {maxRetries: 2}}}]"
    policy = f"{{connectionPool: {{tcp: {{maxConnections: 5}}}}, outlierDetection: {{}}, portLevelSettings: {ports}}}"
    found = under(policy)[CLUSTER]
    limits = found["circuit_breakers"]["thresholds"][0]
    assert (limits["max_retries"], limits["max_connections"]) == (2, NO_LIMIT)
    assert "outlier_detection" not in found


def test_the_meshs_policy_fills_blocks_that_are_left_out():
    baseline = DefaultTrafficPolicy(
        connection_pool=ConnectionPoolSettings(tcp=TCPSettings(max_connections=9)),
        outlier_detection=OutlierDetection(consecutive_5xx_errors=2),
    )
    found = under("{connectionPool: {http: {maxRetries: 2}}}", mesh=MeshConfig(default_traffic_policy=baseline))[
        CLUSTER
    ]
    assert found["circuit_breakers"]["thresholds"][0]["max_connections"] == NO_LIMIT
    assert found["outlier_detection"]["consecutive_5xx"] == 2


def test_a_mesh_without_locality_balancing_never_weighs_localities():
    mesh = MeshConfig(locality_lb_setting=LocalityLoadBalancerSetting(enabled=False))
    found = under("{outlierDetection: {}}", mesh=mesh)[CLUSTER]
    assert found["common_lb_config"] == {"healthy_panic_threshold": {}}


def test_a_cluster_that_cannot_be_made_takes_no_other_with_it():
    other = REVIEWS_SERVICE.replace("reviews", "other").replace("10.96.0.10", "10.96.0.11")
    client = Client(REVIEWS_SERVICE, other)
    assert CLUSTER in client.clusters
    # More than Envoy's field holds. The schema refuses it; whoever feeds the engine otherwise loses one cluster.
    endless = RetryBudget(min_retry_concurrency=2**40)
    spec = DestinationRule(host="reviews", traffic_policy=TrafficPolicy(retry_budget=endless))
    ref = Ref("DestinationRule", "default", "reviews")
    client.world.put(Resource(ref, Meta(name="reviews", namespace="default"), spec))
    found = client.clusters
    assert CLUSTER not in found
    assert CLUSTER.replace("reviews", "other") in found
