"""Listeners that a real Envoy takes: those of either kind of proxy, of every kind of port."""

from __future__ import annotations

import pytest

from pilotpy.model.mesh_config import DefaultProviders, TLSConfig
from pilotpy.schema.validation.tls import CIPHER_SUITES
from tests.compile.listening import entry, listened, service, slices
from tests.envoy.verdict import refusal, without_istio_filters
from tests.mesh.world import World, peer_authentication

pytestmark = pytest.mark.envoy

EVERYTHING = (
    service("a", "http:80:8080", "tcp:81:9000", "odd:82:7000", "grpc-web:83:8083", "mongo:27017", "https:443"),
    service("b", "odd:80", "tcp:90", address="None"),
    slices("b", "odd:80", "10.1.0.1", "10.1.0.2"),
    entry("e", "a.com, b.com", "443 TLS"),
    entry("f", "c.com, d.com", "443 TLS", "1.2.3.4"),
    entry("g", "e.com", "9000 TCP", "10.5.0.0/16, 10.6.0.1", resolution="NONE"),
    entry("h", "f.com", "80 TCP", resolution="NONE"),
    """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec:
  hosts: [c.com, a]
  tls:
  - {match: [{sniHosts: [c.com, "*.c.com"], port: 443}], route: [{destination: {host: c.com}}]}
  - {match: [{sniHosts: [c.com, C.com, d.com], port: 443}], route: [{destination: {host: d.com}}]}
  - {match: [{sniHosts: [c.com], destinationSubnets: [10.9.0.1/16, nowhere]}], route: [{destination: {host: d.com}}]}
  - {match: [{sniHosts: ["*d.com", "*"]}], route: [{destination: {host: d.com}}]}
  tcp:
  - {match: [{destinationSubnets: [10.8.0.0/16], port: 81}], route: [{destination: {host: a}}]}
  - {match: [{port: 81}], route: [{destination: {host: a}, weight: 9}, {destination: {host: f.com}, weight: 1}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: default}
spec:
  host: a
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 30s, maxConnectionDuration: 1h}}
    loadBalancer: {consistentHash: {useSourceIp: true}}
""",
)
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: default}
spec:
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: h}, bind: 127.0.0.2, captureMode: NONE, defaultEndpoint: 127.0.0.1:80}
  egress:
  - {port: {number: 8888, protocol: HTTP_PROXY, name: p}, bind: 127.0.0.1, captureMode: NONE, hosts: ["*/*"]}
  - {hosts: ["./*"]}
"""
PROXIES = {
    "a proxy with captured traffic": ((), {}),
    "a proxy that stays unseen": ((), {"INTERCEPTION_MODE": "TPROXY"}),
    "a proxy that captures nothing": ((SIDECAR,), {"INTERCEPTION_MODE": "NONE"}),
    "a proxy whose Sidecar binds ports": ((SIDECAR,), {}),
    "a proxy of IPv6": ((), {"ip": "fd00::1"}),
    "a proxy that insists on mutual TLS": ((peer_authentication("default", "all", "STRICT"),), {}),
    "a proxy that takes no mutual TLS": ((peer_authentication("default", "all", "DISABLE"),), {}),
    "a proxy whose ports differ": (
        (peer_authentication("default", "a", "STRICT", ports={8080: "DISABLE", 9999: "PERMISSIVE"}, app="a"),),
        {},
    ),
    "a proxy with every setting": (
        (),
        {
            "HTTP10": "1",
            "IDLE_TIMEOUT": "90s",
            "HTTP_PROXY_PORT": "15002",
            "INBOUND_LISTENER_EXACT_BALANCE": "true",
            "OUTBOUND_LISTENER_EXACT_BALANCE": "true",
        },
    ),
}


@pytest.mark.parametrize("istio", [False, True], ids=["an upstream build", "Istio's, less what only it has"])
@pytest.mark.parametrize(("written", "metadata"), PROXIES.values(), ids=PROXIES)
def test_envoy_takes_the_listeners_of(tmp_path, written, metadata, istio):
    world = World(*EVERYTHING, *written)
    world.settings(
        access_log_file="/dev/stdout",
        mesh_mtls=TLSConfig(min_protocol_version="TLSV1_3", cipher_suites=tuple(sorted(CIPHER_SUITES))),
        access_log_encoding="JSON" if istio else "TEXT",
        default_providers=DefaultProviders(metrics=("prometheus",)),
    )
    version = {"ISTIO_VERSION": "1.27.0"} if istio else {}
    found = listened(world, "a-1.default", LABELS={"app": "a"}, **version, **metadata).values()
    assert not refusal(tmp_path, [without_istio_filters(each) for each in found] if istio else found)


def test_envoy_refuses_what_it_should(tmp_path):
    found = listened(World(service("a", "http:80")))["0.0.0.0_80"]
    found.filter_chains.append(found.filter_chains[0])
    assert "duplicate matcher" in refusal(tmp_path, [found])
