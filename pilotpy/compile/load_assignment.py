"""From arranged endpoints to the bytes of a ClusterLoadAssignment.

Written field by field on the wire: endpoints are most of what a mesh compiles, and making their messages would take
longer than everything else. Source: Envoy's ``endpoint.proto``, ``endpoint_components.proto``, ``address.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.compile.arrangement import Group
from pilotpy.compile.metadata import ISTIO, filter_metadata
from pilotpy.compile.wire import delimited, integer
from pilotpy.mesh.service import Endpoint, Health, Locality

_UNIX = "unix://"
_HEALTH = {Health.HEALTHY: 1, Health.UNHEALTHY: 2, Health.DRAINING: 3}
_DEFAULT_REVISION = "latest"
_SOCKET_MATCH = "envoy.transport_socket_match"


def load_assignment(name: str, groups: Iterable[Group]) -> bytes:
    """The assignment of the cluster ``name``: deterministic; without groups it is empty, which tells Envoy so."""
    return delimited(1, name.encode()) + b"".join(delimited(2, _locality_endpoints(group)) for group in groups)


def _locality_endpoints(group: Group) -> bytes:
    # What endpoints of one workload have in common is most of their bytes.
    alike: dict[tuple[object, ...], bytes] = {}
    pieces = [delimited(1, _locality(group.locality))]
    for one in group.endpoints:
        kind = (one.labels, one.workload, one.namespace, one.cluster, one.health, one.weight, one.tls_mode)
        shared = alike.get(kind)
        if shared is None:
            shared = alike[kind] = _shared(one)
        pieces.append(delimited(2, delimited(1, delimited(1, _address(one))) + shared))
    pieces += (delimited(3, integer(1, group.weight)), integer(5, group.priority))
    return b"".join(pieces)


def _locality(locality: Locality) -> bytes:
    return b"".join(delimited(field, part.encode()) for field, part in enumerate(locality, 1) if part)


def _shared(endpoint: Endpoint) -> bytes:
    metadata = filter_metadata(ISTIO, {"workload": _workload(endpoint)})
    if endpoint.tls_mode:
        metadata = filter_metadata(_SOCKET_MATCH, {"tlsMode": endpoint.tls_mode}) + metadata
    return integer(2, _HEALTH[endpoint.health]) + delimited(3, metadata) + delimited(4, integer(1, endpoint.weight))


def _address(endpoint: Endpoint) -> bytes:
    if endpoint.port == 0:
        return delimited(2, delimited(1, endpoint.address.removeprefix(_UNIX).encode()))
    return delimited(1, delimited(2, endpoint.address.encode()) + integer(3, endpoint.port))


def _workload(endpoint: Endpoint) -> str:
    """Who serves, for telemetry at the client: "workload;namespace;service;revision;cluster", as Istio reads it."""
    labels = dict(endpoint.labels)
    name = (
        labels.get("service.istio.io/canonical-name")
        or labels.get("app.kubernetes.io/name")
        or labels.get("app")
        or endpoint.workload
    )
    revision = (
        labels.get("service.istio.io/canonical-revision")
        or labels.get("app.kubernetes.io/version")
        or labels.get("version")
        or _DEFAULT_REVISION
    )
    revision = "" if revision == _DEFAULT_REVISION else revision
    return f"{endpoint.workload};{endpoint.namespace};{name};{revision};{endpoint.cluster}"
