"""Envoy itself takes every kind of cluster and assignment that we make."""

import pytest

from pilotpy.compile.draft import EDS
from pilotpy.model.mesh_config import MeshConfig, TLSConfig
from pilotpy.schema.validation.mesh_config import CURVES
from pilotpy.schema.validation.tls import CIPHER_SUITES
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from tests.compile.upstreams import REVIEWS_SERVICE, Client, rule, workloads
from tests.envoy.verdict import refusal

pytestmark = pytest.mark.envoy

PLACES = workloads(
    ("v1", "us/east/a", "ready: true"), ("v2", "us/west/a", "ready: true"), ("v2", "eu/north/a", "ready: true")
)
SUBSETS = "[{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]"
ENTRIES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: default}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: a.example.com, locality: us/east}, {address: 192.0.2.1, locality: eu/north}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: default}
spec: {hosts: [one.example.com], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: none, namespace: default}
spec:
  hosts: [db.example.com]
  addresses: [192.0.2.7]
  resolution: NONE
  ports: [{number: 5432, name: tcp, protocol: TCP, targetPort: 15432}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: reviews, istio-locality: us.east.a}}
status: {podIP: 10.0.0.100, phase: Running}
"""
POLICIES = [
    pytest.param("null", id="no policy"),
    pytest.param(
        "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 1s, idleTimeout: 3s, maxConnectionDuration: 60s, "
        "tcpKeepalive: {probes: 3, time: 60s, interval: 5s}}, http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, "
        "maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 5s, h2UpgradePolicy: UPGRADE, "
        "maxConcurrentStreams: 10, http2KeepAlive: {interval: 10s, timeout: 2s}}}, retryBudget: {percent: 10}}",
        id="every limit",
    ),
    pytest.param(
        "{outlierDetection: {consecutive5xxErrors: 5, consecutiveGatewayErrors: 3, interval: 5s, baseEjectionTime: 9s, "
        "maxEjectionPercent: 50, minHealthPercent: 30, splitExternalLocalOriginErrors: true, "
        "consecutiveLocalOriginFailures: 4, outlierDetectionHttpErrorCodes: [429, 503]}}",
        id="all of outlier detection",
    ),
    pytest.param("{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s}}}", id="warm-up"),
    pytest.param("{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}", id="Maglev"),
    pytest.param("{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 64}}}}", id="a ring"),
    pytest.param("{loadBalancer: {simple: PASSTHROUGH}}", id="passthrough"),
    pytest.param(
        '{loadBalancer: {localityLbSetting: {distribute: [{from: us/*, to: {"us/*": 80, "eu/*": 20}}]}}}', id="shares"
    ),
    pytest.param(
        "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: us, to: eu}]}}}", id="failover"
    ),
    pytest.param("{loadBalancer: {zoneAwareLbSetting: {enabled: false}}}", id="no zones"),
    pytest.param("{proxyProtocol: {version: V2}}", id="the PROXY protocol"),
    pytest.param("{tls: {mode: DISABLE}}", id="plaintext"),
    pytest.param("{tls: {mode: ISTIO_MUTUAL, sni: a, subjectAltNames: [b]}}", id="mutual TLS of the mesh"),
    pytest.param("{tls: {mode: SIMPLE, subjectAltNames: [b]}, proxyProtocol: {version: V1}}", id="TLS behind PROXY"),
    pytest.param("{tls: {mode: SIMPLE, insecureSkipVerify: true}}", id="TLS that verifies nothing"),
    pytest.param(
        "{tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /ca, sni: a}}",
        id="mutual TLS with files",
    ),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_envoy_takes_clusters_under(policy, tmp_path):
    everywhere = rule(policy, host="*.example.com")
    client = Client(POD, REVIEWS_SERVICE, PLACES, ENTRIES, rule(policy, subsets=SUBSETS), everywhere, ISTIO_VERSION="")
    clusters = [Cluster.FromString(bytes(encoded)) for encoded in client.sent_clusters()]
    assert {"outbound|443||api.example.com", "inbound|8080||"} <= {cluster.name for cluster in clusters}
    assert not refusal(tmp_path, clusters=clusters)


@pytest.mark.parametrize("policy", POLICIES)
def test_envoy_takes_assignments_under(policy, tmp_path):
    client = Client(POD, REVIEWS_SERVICE, PLACES, rule(policy, subsets=SUBSETS), ISTIO_VERSION="")
    listing = {encoded.name: Cluster.FromString(bytes(encoded)) for encoded in client.sent_clusters()}
    for encoded in client.sent_assignments():
        cluster = listing[encoded.name]
        assert cluster.type == EDS
        # Nobody is asked here: what would be the answer stands in the cluster itself.
        cluster.ClearField("eds_cluster_config")
        cluster.type = Cluster.DiscoveryType.STATIC
        cluster.load_assignment.MergeFromString(bytes(encoded))
    assert not refusal(tmp_path, clusters=listing.values())


def test_envoy_refuses_a_cluster_that_is_wrong(tmp_path):
    wrong = Cluster(name="wrong", lb_policy=Cluster.LbPolicy.CLUSTER_PROVIDED)
    assert "cluster provided LB specified" in refusal(tmp_path, clusters=[wrong])


def test_envoy_takes_every_cipher_and_curve_that_a_mesh_may_ask_for(tmp_path):
    limits = TLSConfig(cipher_suites=tuple(sorted(CIPHER_SUITES)), ecdh_curves=tuple(sorted(CURVES)))
    tls = rule("{tls: {mode: SIMPLE, insecureSkipVerify: true}}")  # needs no secret: the context is made at once
    client = Client(POD, REVIEWS_SERVICE, PLACES, tls, mesh=MeshConfig(tls_defaults=limits), ISTIO_VERSION="")
    assert not refusal(tmp_path, clusters=[Cluster.FromString(bytes(one)) for one in client.sent_clusters()])
