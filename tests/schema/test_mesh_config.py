"""The mesh configuration, as istiod would fill it in."""

from datetime import timedelta

import pytest

from pilotpy.schema.mesh_config import mesh_config, mesh_networks


def right(text):
    config, findings = mesh_config(text, "mesh.yaml")
    assert findings == []
    return config


DEFAULTS = [
    ("outbound traffic may go anywhere", lambda mesh: mesh.outbound_traffic_policy.mode, "ALLOW_ANY"),
    ("connecting may take ten seconds", lambda mesh: mesh.connect_timeout, timedelta(seconds=10)),
    ("protocols are sniffed without a timeout", lambda mesh: mesh.protocol_detection_timeout, timedelta(0)),
    ("names of failed lookups are asked again", lambda mesh: mesh.dns_refresh_rate, timedelta(seconds=60)),
    ("services are seen by all", lambda mesh: mesh.default_service_export_to, ("*",)),
    ("the root namespace", lambda mesh: mesh.root_namespace, "istio-system"),
    ("locality counts", lambda mesh: mesh.locality_lb_setting.enabled, True),
    ("mTLS between sidecars", lambda mesh: mesh.enable_auto_mtls, True),
    (
        "three providers",
        lambda mesh: [one.name for one in mesh.extension_providers],
        ["prometheus", "stackdriver", "envoy"],
    ),
    ("where proxies find us", lambda mesh: mesh.default_config.discovery_address, "istiod.istio-system.svc:15012"),
    ("how long proxies drain", lambda mesh: mesh.default_config.drain_duration, timedelta(seconds=45)),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in DEFAULTS], ids=[case[0] for case in DEFAULTS])
def test_without_a_word_it_is_what_istiod_would_do(value, expected):
    assert value(right("")) == expected


def test_what_is_written_replaces_the_default_message():
    assert right("outboundTrafficPolicy: {}").outbound_traffic_policy.mode == "REGISTRY_ONLY"


def test_the_default_config_is_merged_field_by_field():
    config = right("defaultConfig: {statusPort: 1}").default_config
    assert (config.status_port, config.proxy_admin_port) == (1, 15000)


def test_providers_are_merged_by_name():
    ours, theirs = "{name: envoy, envoyFileAccessLog: {path: /x}}", "{name: z, zipkin: {service: z, port: 1}}"
    providers = {one.name: one for one in right(f"extensionProviders: [{ours}, {theirs}]").extension_providers}
    assert list(providers) == ["prometheus", "stackdriver", "envoy", "z"]
    assert providers["envoy"].envoy_file_access_log.path == "/x"


def test_aliases_are_sorted_and_told_once():
    config, _ = mesh_config("trustDomainAliases: [b, a, b]", "mesh.yaml")
    assert config.trust_domain_aliases == ("a", "b")


def test_what_is_wrong_is_said_with_its_line():
    config, findings = mesh_config("rootNamespace: x\nconnectTimeout: 10\nh2UpgradePolicy: MAYBE\n", "mesh.yaml")
    assert config is None
    assert [(one.field, one.file, one.line) for one in findings] == [
        ("connectTimeout", "mesh.yaml", 2),
        ("h2UpgradePolicy", "mesh.yaml", 3),
    ]


def test_an_unknown_field_is_ignored_with_a_warning():
    config, findings = mesh_config("rootNamespace: x\nrootNamespce: y\n", "mesh.yaml")
    assert config.root_namespace == "x"
    assert [(one.field, one.hint, one.line) for one in findings] == [("rootNamespce", "Did you mean rootNamespace?", 2)]


def test_networks_are_read():
    text = "networks: {one: {endpoints: [{fromRegistry: k}], gateways: [{address: 1.2.3.4, port: 15443}]}}"
    networks, findings = mesh_networks(text, "networks.yaml")
    assert findings == []
    assert networks.networks["one"].gateways[0].port == 15443


def test_tls_that_envoy_does_not_know_is_said():
    text = "meshMTLS: {cipherSuites: [AES128-GCM-SHA256, RC4]}\ntlsDefaults: {ecdhCurves: [P-256, P-224]}\n"
    _, findings = mesh_config(text, "mesh.yaml")
    assert [(one.field, one.severity.value) for one in findings] == [
        ("tlsDefaults.ecdhCurves[1]", "Warning"),
        ("meshMTLS.cipherSuites[1]", "Warning"),
    ]
