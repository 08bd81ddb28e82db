"""A real Envoy's verdict about configuration, without starting it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pilotpy_protos.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

ENVOY = Path(sys.executable).with_name("envoy")

# What the upstream build lacks; all else of the other dialect must be acceptable to it.
ISTIO_ONLY = frozenset({"istio.metadata_exchange", "istio.alpn", "istio.stats"})


def refusal(folder: Path, listeners: Iterable[Listener] = (), clusters: Iterable[Cluster] = ()) -> str:
    """Why Envoy would not start with these; empty if it would."""
    bootstrap = Bootstrap()
    bootstrap.node.id = "sidecar~127.0.0.1~a.default~default.svc.cluster.local"
    bootstrap.node.cluster = "a.default"
    bootstrap.static_resources.listeners.extend(listeners)
    bootstrap.static_resources.clusters.extend(clusters)
    # Routes and endpoints that are to be asked for over ADS need somebody to ask.
    bootstrap.dynamic_resources.ads_config.api_type = 2  # GRPC
    bootstrap.dynamic_resources.ads_config.transport_api_version = 2  # V3
    bootstrap.dynamic_resources.ads_config.grpc_services.add().envoy_grpc.cluster_name = "xds-grpc"
    # ... and secrets, that are to be asked for of an agent, an agent. Nobody really asks.
    for port, name in enumerate(("xds-grpc", "sds-grpc"), 15010):
        asked = bootstrap.static_resources.clusters.add(name=name)
        asked.load_assignment.cluster_name = name
        endpoint = asked.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        endpoint.address, endpoint.port_value = "127.0.0.1", port
    file = folder / "bootstrap.pb"
    file.write_bytes(bootstrap.SerializeToString(deterministic=True))
    command = [ENVOY, "--mode", "validate", "--log-level", "error", "-c", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def without_istio_filters(listener: Listener) -> Listener:
    """The listener with the filters of `ISTIO_ONLY` taken out, and nothing else."""
    bare = Listener()
    bare.CopyFrom(listener)
    for chain in (*bare.filter_chains, *([bare.default_filter_chain] if bare.HasField("default_filter_chain") else [])):
        _strip(chain)
    return bare


def _strip(chain: FilterChain) -> None:
    kept = [each for each in chain.filters if each.name not in ISTIO_ONLY]
    del chain.filters[:]
    chain.filters.extend(kept)
    for each in chain.filters:
        manager = HttpConnectionManager()
        if each.typed_config.Is(manager.DESCRIPTOR):
            each.typed_config.Unpack(manager)
            passed = [one for one in manager.http_filters if one.name not in ISTIO_ONLY]
            del manager.http_filters[:]
            manager.http_filters.extend(passed)
            each.typed_config.Pack(manager, deterministic=True)
