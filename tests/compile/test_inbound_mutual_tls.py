"""Which connections a workload's ports take, and how: every mode, for every kind of port."""

from __future__ import annotations

import pytest

from pilotpy.model.mesh_config import TLSConfig, TrustedCertificates
from pilotpy_protos.descriptors import message_in
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from tests.compile.listening import chains, inspectors, listened, service
from tests.mesh.world import World, peer_authentication

LABELS = {"app": "a"}
GUARD = "port 15006 -> tcp BlackHoleCluster"
PEERS = "istio|istio-peer-exchange|istio-http/1.0|istio-http/1.1|istio-h2"
PEER_HTTP = "istio-http/1.0|istio-http/1.1|istio-h2"
PEER_TCP = "istio-peer-exchange|istio"
HTTP = "-> routes inbound|8080||"
TCP = "-> tcp inbound|8080||"
PASSED_HTTP = "-> routes InboundPassthroughCluster"
PASSED_TCP = "-> tcp InboundPassthroughCluster"

CHAINS = {
    "STRICT takes HTTP in mutual TLS": ("STRICT", "http", [f"port 8080 tls {HTTP} *"]),
    "STRICT takes TCP in mutual TLS": ("STRICT", "tcp", [f"port 8080 tls {TCP} *"]),
    "STRICT tells by what is offered whether it is HTTP": (
        "STRICT",
        "odd",
        [f"port 8080 tls {PEER_HTTP} {HTTP} *", f"port 8080 tls {TCP} *"],
    ),
    "PERMISSIVE takes HTTP either way": (
        "PERMISSIVE",
        "http",
        [f"port 8080 tls {PEERS} {HTTP} *", f"port 8080 raw_buffer {HTTP}"],
    ),
    "PERMISSIVE leaves the application its own TLS": (
        "PERMISSIVE",
        "tcp",
        [f"port 8080 tls {PEERS} {TCP} *", f"port 8080 tls {TCP}", f"port 8080 raw_buffer {TCP}"],
    ),
    "PERMISSIVE sniffs both": (
        "PERMISSIVE",
        "odd",
        [
            f"port 8080 tls {PEER_HTTP} {HTTP} *",
            f"port 8080 raw_buffer http/1.1|h2c {HTTP}",
            f"port 8080 tls {PEER_TCP} {TCP} *",
            f"port 8080 raw_buffer {TCP}",
            f"port 8080 tls {TCP}",
        ],
    ),
    "DISABLE takes HTTP in plaintext": ("DISABLE", "http", [f"port 8080 raw_buffer {HTTP}"]),
    "DISABLE takes TCP in plaintext": ("DISABLE", "tcp", [f"port 8080 raw_buffer {TCP}"]),
    "DISABLE sniffs plaintext": (
        "DISABLE",
        "odd",
        [f"port 8080 raw_buffer http/1.1|h2c {HTTP}", f"port 8080 raw_buffer {TCP}"],
    ),
}

PASSED = {
    "STRICT": [f"tls {PEER_HTTP} {PASSED_HTTP} *", f"tls {PASSED_TCP} *"],
    "PERMISSIVE": [
        f"tls {PEER_HTTP} {PASSED_HTTP} *",
        f"raw_buffer http/1.1|h2c {PASSED_HTTP}",
        f"tls {PEER_TCP} {PASSED_TCP} *",
        f"raw_buffer {PASSED_TCP}",
        f"tls {PASSED_TCP}",
    ],
    "DISABLE": [f"raw_buffer http/1.1|h2c {PASSED_HTTP}", f"raw_buffer {PASSED_TCP}"],
}


def virtual_inbound(*written, settings=None) -> Listener:
    world = World(*written)
    world.settings(**settings or {})
    return listened(world, "a-1.default", LABELS=LABELS)["virtualInbound"]


def told(listener: Listener) -> list[str]:
    """A line per chain, with a star where it ends mutual TLS."""
    ends = [" *" if chain.HasField("transport_socket") else "" for chain in listener.filter_chains]
    return [line + end for line, end in zip(chains(listener), ends, strict=True)]


@pytest.mark.parametrize(("mode", "port", "expected"), CHAINS.values(), ids=CHAINS)
def test_chains(mode, port, expected):
    listener = virtual_inbound(service("a", f"{port}:80:8080"), peer_authentication("default", "n", mode))
    assert told(listener) == [GUARD, *PASSED[mode], *expected]


def test_a_port_may_insist_on_less_than_its_workload():
    listener = virtual_inbound(
        service("a", "http:80:8080", "tcp:81:9000"),
        peer_authentication("default", "w", "STRICT", ports={8080: "DISABLE"}, **LABELS),
    )
    assert told(listener)[3:] == [f"port 8080 raw_buffer {HTTP}", "port 9000 tls -> tcp inbound|9000|| *"]


def test_the_port_of_a_policy_is_the_workloads_not_the_services():
    policy = peer_authentication("default", "w", "STRICT", ports={80: "DISABLE"}, **LABELS)
    assert told(virtual_inbound(service("a", "http:80:8080"), policy))[-1] == f"port 8080 tls {HTTP} *"


def test_a_port_that_no_service_names_is_taken_as_its_policy_says():
    listener = virtual_inbound(peer_authentication("default", "w", "STRICT", ports={9999: "DISABLE"}, **LABELS))
    assert told(listener) == [
        GUARD,
        *PASSED["STRICT"],
        f"port 9999 raw_buffer http/1.1|h2c {PASSED_HTTP}",
        f"port 9999 raw_buffer {PASSED_TCP}",
    ]
    assert [chain.name for chain in listener.filter_chains][-2:] == ["virtualInbound-catchall-http", "virtualInbound"]


def test_a_port_of_a_sidecar_that_is_bound_to_takes_what_its_policy_says():
    sidecar = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: default}
spec: {ingress: [{port: {number: 9080, protocol: HTTP, name: h}, captureMode: NONE, bind: 10.9.9.8}]}
"""
    world = World(sidecar, peer_authentication("default", "n", "STRICT"))
    assert told(listened(world, "a-1.default")["10.9.9.8_9080"]) == ["port 9080 tls -> routes inbound|9080|| *"]


def disabled(listener: Listener, name: str) -> list[int]:
    """The ports for which an inspector is disabled; a negative sign: for all but these."""
    (found,) = [each.filter_disabled for each in listener.listener_filters if each.name.endswith(name)]
    sign, found = (-1, found.not_match) if found.HasField("not_match") else (1, found)
    return [sign * rule.destination_port_range.start for rule in found.or_match.rules or [found]]


def test_a_port_in_plaintext_does_not_wait_for_tls():
    listener = virtual_inbound(
        service("a", "tcp:80:8080", "http:81:9000"),
        peer_authentication("default", "w", ports={8080: "DISABLE"}, **LABELS),
    )
    assert disabled(listener, "tls_inspector") == [8080, 15006]
    assert disabled(listener, "http_inspector") == [8080, 9000, 15006]


def test_where_all_is_plaintext_but_a_port_only_that_port_waits_for_tls():
    policy = peer_authentication("default", "w", "DISABLE", ports={8080: "STRICT"}, **LABELS)
    assert disabled(virtual_inbound(service("a", "tcp:80:8080"), policy), "tls_inspector") == [-8080]


def test_where_nothing_is_plaintext_nobody_looks_for_http():
    listener = virtual_inbound(service("a", "http:80"), peer_authentication("default", "n", "STRICT"))
    assert inspectors(listener) == ["original_dst", "tls_inspector"]


def context(listener: Listener, *, http: bool):
    word = "routes" if http else "tcp"
    ends = [
        chain
        for chain, line in zip(listener.filter_chains, told(listener), strict=True)
        if f"{word} " in line and line.endswith("*")
    ]
    return message_in(ends[0].transport_socket.typed_config)


def test_clients_must_show_who_they_are():
    found = context(virtual_inbound(), http=True)
    assert found.require_client_certificate.value
    common = found.common_tls_context
    assert [one.name for one in common.tls_certificate_sds_secret_configs] == ["default"]
    combined = common.combined_validation_context
    assert combined.validation_context_sds_secret_config.name == "ROOTCA"
    agent = combined.validation_context_sds_secret_config.sds_config
    assert agent.api_config_source.grpc_services[0].envoy_grpc.cluster_name == "sds-grpc"
    assert agent.HasField("initial_fetch_timeout")


def test_a_proxy_shows_the_certificate_in_its_files():
    files = {"TLS_SERVER_CERT_CHAIN": "/c", "TLS_SERVER_KEY": "/k", "TLS_SERVER_ROOT_CERT": "/r"}
    common = context(listened(World(), "a-1.default", **files)["virtualInbound"], http=True).common_tls_context
    assert [one.name for one in common.tls_certificate_sds_secret_configs] == ["file-cert:/c~/k"]
    assert common.combined_validation_context.validation_context_sds_secret_config.name == "file-root:/r"


@pytest.mark.parametrize(
    ("http", "expected"),
    [(True, ["h2", "http/1.1"]), (False, ["istio-peer-exchange", "h2", "http/1.1"])],
    ids=["HTTP", "TCP"],
)
def test_what_servers_offer_is_never_the_name_of_the_mesh(http, expected):
    assert context(virtual_inbound(), http=http).common_tls_context.alpn_protocols == expected


TRUST = {
    "the mesh's own": ({}, ["spiffe://cluster.local/"]),
    "its aliases": (
        {"trust_domain": "new", "trust_domain_aliases": ("old", "older", "old")},
        ["spiffe://new/", "spiffe://old/", "spiffe://older/"],
    ),
    "those of further authorities": (
        {"ca_certificates": (TrustedCertificates(pem="x", trust_domains=("other",)),)},
        ["spiffe://cluster.local/", "spiffe://other/"],
    ),
}


@pytest.mark.parametrize(("settings", "expected"), TRUST.values(), ids=TRUST)
def test_clients_are_taken_of_trust_domains(settings, expected):
    combined = context(virtual_inbound(settings=settings), http=True).common_tls_context.combined_validation_context
    assert [one.prefix for one in combined.default_validation_context.match_subject_alt_names] == expected


def test_versions_and_ciphers():
    params = context(virtual_inbound(), http=True).common_tls_context.tls_params
    assert (params.tls_minimum_protocol_version, params.tls_maximum_protocol_version) == (
        params.TLSv1_2,
        params.TLSv1_3,
    )
    assert params.cipher_suites[:2] == ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"]
    assert len(params.cipher_suites) == 6


def test_the_mesh_may_have_newer_tls_and_other_ciphers():
    limits = TLSConfig(min_protocol_version="TLSV1_3", cipher_suites=("ECDHE-RSA-AES256-GCM-SHA384", "UNKNOWN"))
    params = context(virtual_inbound(settings={"mesh_mtls": limits}), http=True).common_tls_context.tls_params
    assert params.tls_minimum_protocol_version == params.TLSv1_3
    assert params.cipher_suites == ["ECDHE-RSA-AES256-GCM-SHA384"]
