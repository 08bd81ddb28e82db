"""Choosing an endpoint: ``loadBalancer`` to the policy, its parameters and the warm-up of new endpoints.

Source: Istio's ``destination_rule.proto``, message LoadBalancerSettings; Envoy's ``cluster.proto``.
"""

from __future__ import annotations

from pilotpy.compile.draft import ORIGINAL_DST, Draft
from pilotpy.model.destination_rule import ConsistentHashLB, LoadBalancerSettings
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster

_RING_SIZE = 1024
_MINIMUM_PERCENT = 10.0
_AGGRESSION = 1.0
# Envoy demands a key; nobody can set one with this name, which is istiod's.
_NO_RUNTIME_KEY = "("


def load_balancing(draft: Draft) -> None:
    """Write the policy; where the client's own destination is kept there is none to choose."""
    settings = draft.policy.load_balancer or LoadBalancerSettings()
    cluster = draft.cluster
    if cluster.type == ORIGINAL_DST:
        cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    elif settings.consistent_hash is not None:
        _hashing(cluster, settings.consistent_hash)
    elif settings.simple == "RANDOM":
        cluster.lb_policy = Cluster.LbPolicy.RANDOM
    elif settings.simple == "ROUND_ROBIN":
        cluster.lb_policy = Cluster.LbPolicy.ROUND_ROBIN
        if settings.warmup or settings.warmup_duration_secs is not None:
            _warm_up(cluster.round_robin_lb_config.slow_start_config, settings)
    else:
        cluster.lb_policy = Cluster.LbPolicy.LEAST_REQUEST
        if settings.warmup or settings.warmup_duration_secs is not None:
            _warm_up(cluster.least_request_lb_config.slow_start_config, settings)


def _hashing(cluster: Cluster, settings: ConsistentHashLB) -> None:
    if settings.maglev is not None:
        cluster.lb_policy = Cluster.LbPolicy.MAGLEV
        if settings.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = settings.maglev.table_size
        return
    cluster.lb_policy = Cluster.LbPolicy.RING_HASH
    size = settings.ring_hash.minimum_ring_size if settings.ring_hash else settings.minimum_ring_size or _RING_SIZE
    if size:
        cluster.ring_hash_lb_config.minimum_ring_size.value = size


def _warm_up(out: Cluster.SlowStartConfig, settings: LoadBalancerSettings) -> None:
    warmup = settings.warmup
    if warmup is None:  # the older field
        if settings.warmup_duration_secs is not None:
            out.slow_start_window.FromTimedelta(settings.warmup_duration_secs)
        return
    if warmup.duration is not None:
        out.slow_start_window.FromTimedelta(warmup.duration)
    out.aggression.default_value = _AGGRESSION if warmup.aggression is None else warmup.aggression
    out.aggression.runtime_key = _NO_RUNTIME_KEY
    out.min_weight_percent.value = _MINIMUM_PERCENT if warmup.minimum_percent is None else warmup.minimum_percent
