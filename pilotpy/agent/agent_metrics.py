"""An agent's own metrics, under the names that istio's have.

Source  istio/istio ``pkg/istio-agent/metrics``, ``security/pkg/nodeagent/cache/monitoring.go``, ``pkg/dns/client``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from pilotpy.agent.pod_agent import PodAgent


class AgentMetrics(Collector):
    """Reads one agent when asked."""

    def __init__(self, agent: PodAgent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment."""
        agent = self._agent
        held = agent.holding.now.certificate
        ends = GaugeMetricFamily(
            "istio_agent_cert_expiry_timestamp",
            "When the workload's certificate ends, in Unix time.",
            labels=("resource_name",),
        )
        if held is not None:
            ends.add_metric(("default",), held.not_after.timestamp())
        yield ends
        yield GaugeMetricFamily(
            "istio_agent_signing_failures", "Requests for a certificate that failed in a row.", agent.identity.failures
        )
        yield GaugeMetricFamily(
            "istio_agent_xds_connected", "Whether there is a stream to the control plane.", int(agent.relay.connected)
        )
        yield GaugeMetricFamily("istio_agent_sds_streams", "Streams of secrets to Envoy.", agent.secrets.streams)
        if agent.dns is not None:
            yield CounterMetricFamily("istio_agent_dns_requests", "Questions for names.", agent.dns.asked)
            yield CounterMetricFamily(
                "istio_agent_dns_upstream_requests", "Questions handed on to name servers.", agent.dns.forwarded
            )
            yield CounterMetricFamily(
                "istio_agent_dns_upstream_failures", "Questions that no name server answered.", agent.dns.failed
            )
