"""MeshConfig and MeshNetworks: settings that Istio admits.

Source: istio/istio pkg/config/validation/agent/validation.go, ValidateMeshConfig.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.mesh_networks import MeshNetworks, Network
from pilotpy.model.virtual_service import HTTPRetry
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names, values
from pilotpy.schema.validation.destination_rule import connection_pool, outlier_detection
from pilotpy.schema.validation.extension_provider import extension_providers
from pilotpy.schema.validation.http_route import retries
from pilotpy.schema.validation.load_balancing import locality, zone_aware
from pilotpy.schema.validation.mesh_proxy_config import proxy_settings
from pilotpy.schema.validation.tls import CIPHER_SUITES

CURVES: Final = frozenset({"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"})
"""What Envoy knows. Istio admits P-224 and X25519Kyber768Draft00 too, for which Envoy refuses a whole cluster."""

_LONGEST_CONNECT: Final = timedelta(seconds=30)


def mesh(config: MeshConfig) -> Problems:
    """What is wrong with a mesh configuration."""
    yield from names.port(config.proxy_listen_port, "proxyListenPort")
    yield from values.duration(config.connect_timeout, "connectTimeout")
    if config.connect_timeout > _LONGEST_CONNECT:
        yield Problem("connectTimeout", "Connecting may take at most 30s")
    if config.protocol_detection_timeout % timedelta(milliseconds=1):
        yield Problem("protocolDetectionTimeout", "A duration must be in whole milliseconds")
    yield from proxy_settings(config.default_config, "defaultConfig")
    yield from locality(config.locality_lb_setting, "localityLbSetting", outliers=True)
    yield from zone_aware(config.zone_aware_lb_setting, "zoneAwareLbSetting", outliers=True)
    for i, setting in enumerate(config.service_settings):
        for j, host in enumerate(setting.hosts):
            yield from names.wildcard_domain(host, below(f"{below('serviceSettings', i)}.hosts", j))
    yield from _trust_domain(config.trust_domain, "trustDomain")
    for i, alias in enumerate(config.trust_domain_aliases):
        yield from _trust_domain(alias, below("trustDomainAliases", i))
    yield from _tls(config)
    policy = config.default_traffic_policy
    if policy:
        yield from connection_pool(policy.connection_pool, "defaultTrafficPolicy.connectionPool")
        yield from outlier_detection(policy.outlier_detection, "defaultTrafficPolicy.outlierDetection")
    yield from _inbound_retries(config.default_inbound_http_retry_policy, "defaultInboundHttpRetryPolicy")
    yield from extension_providers(config.extension_providers, "extensionProviders")


def networks(config: MeshNetworks) -> Problems:
    """What is wrong with the networks of a mesh."""
    for name, network in config.networks.items():
        yield from _network(network, below("networks", name))


def _network(network: Network, at: str) -> Problems:
    for i, endpoints in enumerate(network.endpoints):
        here = below(f"{at}.endpoints", i)
        if endpoints.from_cidr is not None:
            yield from names.subnet(endpoints.from_cidr, f"{here}.fromCidr")
        if endpoints.from_registry is not None and not names.is_label(endpoints.from_registry):
            yield Problem(
                f"{here}.fromRegistry", f"{endpoints.from_registry!r} is not the name of a cluster", names.AS_LABEL
            )
    for i, gateway in enumerate(network.gateways):
        here = below(f"{at}.gateways", i)
        if gateway.registry_service_name is not None:
            yield from names.domain(gateway.registry_service_name, f"{here}.registryServiceName")
        if gateway.address is not None and not names.is_address(gateway.address):
            yield from names.domain(gateway.address, f"{here}.address")
        yield from names.port(gateway.port, f"{here}.port")


def _trust_domain(name: str, at: str) -> Problems:
    parts = name.split(".")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    if not all(map(names.is_label, parts)):
        yield Problem(at, f"{name!r} is not a trust domain", "Write it as a host name: cluster.local")


def _tls(config: MeshConfig) -> Problems:
    if config.mesh_mtls and config.mesh_mtls.ecdh_curves:
        yield Problem("meshMTLS.ecdhCurves", "Curves are not configured for mutual TLS", "Write them in tlsDefaults")
    seen: set[str] = set()
    for i, curve in enumerate(config.tls_defaults.ecdh_curves if config.tls_defaults else ()):
        here = below("tlsDefaults.ecdhCurves", i)
        if curve and curve not in CURVES:
            yield warning(here, f"{curve!r} is not known: it is ignored")
        elif curve in seen:
            yield warning(here, f"{curve!r} stands there twice")
        seen.add(curve)
    for field, limits in (("meshMTLS", config.mesh_mtls), ("tlsDefaults", config.tls_defaults)):
        for i, suite in enumerate(limits.cipher_suites if limits else ()):
            if suite not in CIPHER_SUITES:
                yield warning(below(f"{field}.cipherSuites", i), f"{suite!r} is not known: it is ignored")


def _inbound_retries(policy: HTTPRetry | None, at: str) -> Problems:
    if policy is None:
        return
    yield from retries(policy, at)
    if policy.attempts == 0 and policy.backoff is not None:
        yield Problem(
            f"{at}.backoff",
            "With 0 attempts there are no retries to be configured",
            "Leave all but attempts out, or allow 1 at least",
        )
    for field, given in (
        ("perTryTimeout", policy.per_try_timeout),
        ("retryRemoteLocalities", policy.retry_remote_localities),
        ("retryIgnorePreviousHosts", policy.retry_ignore_previous_hosts),
    ):
        if given is not None:
            yield warning(f"{at}.{field}", "It has no effect on inbound requests")
