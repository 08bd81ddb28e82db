"""What the control plane counts, under istiod's names, so that its dashboards go on working.

Source: the tables of metrics in pilot/pkg/xds/monitoring.go and pkg/xds/monitoring.go.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_SECONDS: Final = (0.1, 0.5, 1, 3, 5, 10, 20, 30)
_FINE_SECONDS: Final = (0.01, *_SECONDS)
_VERSION: Final = version("pilotpy")
_BYTES: Final = (1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)


class Metrics:
    """All metrics of one control plane, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.clients = Gauge("pilot_xds", "Connected proxies.", ("version",), registry=registry)
        self.pushes = Tally("pilot_xds_pushes", "Responses sent, asked for or not.", "type", registry)
        self.rejects = Tally("pilot_total_xds_rejects", "Responses that a proxy refused.", "type", registry)
        self.expired = Tally("pilot_xds_expired_nonce", "Requests with an expired nonce.", "type", registry)
        self.errors = Tally("pilot_total_xds_internal_errors", "Answers that failed to compile.", "", registry)
        self.refused_callers = Tally(
            "pilotpy_xds_refused_callers", "Streams refused for who opened them.", "reason", registry
        )
        self.absent_secrets = Tally("pilot_sds_certificate_errors_total", "Secrets that a proxy lacks.", "", registry)
        self.key_fetches = Tally(
            "pilot_jwks_resolver_network_fetch_success_total", "Key sets of token issuers fetched.", "", registry
        )
        self.key_failures = Tally(
            "pilot_jwks_resolver_network_fetch_fail_total", "Key sets that could not be fetched.", "", registry
        )
        self.lists = Tally("pilotpy_kubernetes_lists", "Collections listed whole.", "collection", registry)
        self.expiries = Tally(
            "pilotpy_kubernetes_expiries", "Watches that an API server could not take up again.", "collection", registry
        )
        self.failures = Tally(
            "pilotpy_kubernetes_failures", "Lists and watches that went wrong.", "collection", registry
        )
        self.late_clusters = Tally(
            "remote_cluster_sync_timeouts_total", "Other clusters not heard in time.", "cluster", registry
        )
        self.leading = Gauge(
            "leader_election_master_status",
            "Whether this process does what only one may.",
            ("name",),
            registry=registry,
        )
        self.root_writes = Tally(
            "pilotpy_root_certificate_writes", "Writes of the roots into namespaces.", "result", registry
        )
        self.token_reviews = Tally("pilotpy_token_reviews", "Tokens put to API servers.", "result", registry)
        self.access_reviews = Tally(
            "pilotpy_access_reviews", "Readers of Secrets put to API servers.", "result", registry
        )
        self.triggers = Tally("pilot_push_triggers", "Publications, by what set them off.", "type", registry)
        self.updates = Tally("pilot_inbound_updates", "Changes seen.", "type", registry)
        self.convergence = Histogram(
            "pilot_proxy_convergence_time",
            "Seconds from the first change of a publication to its first response to a proxy.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.landing = Histogram(
            "pilotpy_change_landing_time",
            "Seconds from the first change of a publication to the last proxy's answer.",
            buckets=_FINE_SECONDS,
            registry=registry,
        )
        self.debounce = Histogram(
            "pilot_debounce_time",
            "Seconds from the first change of a batch to its compile.",
            buckets=_FINE_SECONDS,
            registry=registry,
        )
        self.compile_time = Histogram(
            "pilot_pushcontext_init_seconds",
            "Seconds from the start of a compile to its publication.",
            buckets=(0.01, 0.1, 0.5, 1, 3, 5),
            registry=registry,
        )
        self.push_time = Histogram(
            "pilot_xds_push_time",
            "Seconds to put one response together and write it.",
            ["type"],
            buckets=(0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30),
            registry=registry,
        )
        self.send_time = Histogram(
            "pilot_xds_send_time",
            "Seconds until a client has taken a response.",
            buckets=(0.01, 0.1, 1, 3, 5, 10, 20, 30),
            registry=registry,
        )
        self.sizes = Histogram(
            "pilot_xds_config_size_bytes", "Sizes of responses.", ("type",), buckets=_BYTES, registry=registry
        )
        self.findings = Gauge(
            "pilotpy_findings", "What is wrong with what is served now.", ("level",), registry=registry
        )
        self.services = Gauge("pilot_services", "Known services.", registry=registry)
        Gauge("pilot_info", "The control plane.", ("version",), registry=registry).labels(_VERSION).set(1)
        Gauge("istio_build", "The control plane.", ("component", "tag"), registry=registry).labels(
            "pilot", _VERSION
        ).set(1)


class Tally(Collector):
    """A counter that appears under exactly its name: prometheus-client would add `_total` to istiod's names."""

    def __init__(self, name: str, help_: str, label: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._help = help_
        self._labels = (label,) if label else ()
        self._counts: dict[str, int] = {}
        registry.register(self)

    def add(self, label: str = "", by: int = 1) -> None:
        """Count, under a label if the counter has one."""
        self._counts[label] = self._counts.get(label, 0) + by

    def __getitem__(self, label: str) -> int:
        return self._counts.get(label, 0)

    def collect(self) -> list[Metric]:
        """The counts, for the registry."""
        family = Metric(self._name, self._help, "unknown")
        for label, count in sorted(self._counts.items()):
            family.add_sample(self._name, dict.fromkeys(self._labels, label), count)
        return [family]
