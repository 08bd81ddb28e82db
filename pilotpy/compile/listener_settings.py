"""From MeshConfig to the little of it that listeners depend on, so that other edits of it leave them alone."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from pilotpy.compile.access_log import Logging, logging_of
from pilotpy.compile.guard import OPEN, Guard
from pilotpy.compile.tracing import Tracing, tracing_of
from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.proxy_settings import settings_in
from pilotpy.mesh.view import Features, Listening
from pilotpy.model.mesh_config import MeshConfig, NormalizationType
from pilotpy.model.mesh_proxy_config import ProxyHeaders


class Settings(NamedTuple):
    """What the whole mesh has in common about listeners."""

    outbound_port: int
    inbound_port: int
    detection_timeout: timedelta  # how long to wait for a client to show its protocol; 0: without limit
    logging: Logging
    tracing: Tracing | None
    normalization: NormalizationType  # what happens to a path before anything matches it
    metrics: bool  # a provider wants Istio's standard metrics
    headers: ProxyHeaders
    outbound_stat_name: str  # pattern of statistics' names; empty: the cluster's name
    inbound_stat_name: str


class Terms(NamedTuple):
    """All that one kind of proxy's listeners have in common."""

    settings: Settings
    features: Features
    listening: Listening
    guard: Guard = OPEN  # of what comes in

    @property
    def istio(self) -> bool:
        """Whether the Envoy has Istio's own filters."""
        return self.features.istio

    @property
    def wildcard(self) -> str:
        """The address that stands for all."""
        return "0.0.0.0" if self.features.ipv4 else "::"  # noqa: S104 - names captured traffic, nothing is bound to it

    @property
    def loopback(self) -> str:
        """The proxy's own address for its own workload."""
        return "127.0.0.1" if self.features.ipv4 else "::1"


def terms(q: Asking, features: Features, listening: Listening) -> Terms:
    """What the listeners of such proxies have in common."""
    return Terms(q(settings, listening.own), features, listening)


@query
def settings(q: Asking, own: str) -> Settings:
    """The settings in force for proxies that were started with settings of their own; "": with none."""
    mesh = q(mesh_config)
    started = settings_in(own) if own else mesh.default_config
    return Settings(
        outbound_port=mesh.proxy_listen_port,
        inbound_port=mesh.proxy_inbound_listen_port,
        detection_timeout=mesh.protocol_detection_timeout,
        logging=logging_of(mesh, q.note),
        tracing=tracing_of(started.tracing) if mesh.enable_tracing else None,
        normalization=mesh.path_normalization.normalization if mesh.path_normalization else "DEFAULT",
        metrics=_wants_metrics(mesh),
        headers=started.proxy_headers or ProxyHeaders(),
        outbound_stat_name=mesh.outbound_cluster_stat_name,
        inbound_stat_name=mesh.inbound_cluster_stat_name,
    )


def _wants_metrics(mesh: MeshConfig) -> bool:
    by_name = {provider.name: provider for provider in mesh.extension_providers}
    chosen = (by_name.get(name) for name in mesh.default_providers.metrics)
    return any(provider is not None and provider.prometheus is not None for provider in chosen)
