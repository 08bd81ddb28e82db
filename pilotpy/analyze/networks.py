"""What is doubtful about MeshNetworks: networks of registries that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.analyze.kinds import MESH_NETWORKS
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.clusters import home_cluster
from pilotpy.mesh.kinds import SECRETS
from pilotpy.model.kubernetes import Secret
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema.paths import below

_BUILT_IN = frozenset({"Kubernetes", "External", "Mock"})


def _clusters(secret: Resource[Secret]) -> Iterable[str]:
    if secret.meta.labels.get("istio/multiCluster") != "true":
        return ()
    return (*secret.spec.data, *secret.spec.string_data)


_SECRETS_BY_CLUSTER = Index(SECRETS, _clusters, "secrets by remote cluster")


@query
def registry_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each registry that is neither built in nor a remote cluster."""
    found = q.get(MESH_NETWORKS, ref.namespace, ref.name)
    return tuple(
        _unknown(ref, f"{below('networks', name)}.endpoints[{index}].fromRegistry", endpoint.from_registry, name)
        for name, network in (found.spec.networks.items() if found else ())
        for index, endpoint in enumerate(network.endpoints)
        if endpoint.from_registry
        and endpoint.from_registry not in {*_BUILT_IN, q(home_cluster)}
        and not q.keys(_SECRETS_BY_CLUSTER, endpoint.from_registry)
    )


def _unknown(ref: Ref, field: str, registry: str, network: str) -> Finding:
    return Finding(
        code="IST0126",
        severity=Severity.ERROR,
        message=f"Unknown service registry {registry} in network {network}",
        ref=ref,
        field=field,
        hint='Name a cluster of a Secret labelled istio/multiCluster: "true", or Kubernetes',
    )
