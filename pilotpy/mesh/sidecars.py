"""Which Sidecar applies to a workload.

From the Sidecars of its namespace and of the root namespace to one, or none. Follows
``getSidecarScope`` of Istio's push context.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.kinds import SIDECARS
from pilotpy.mesh.workloads import selects
from pilotpy.model.resource import Ref, Resource
from pilotpy.model.sidecar import Sidecar

Pairs = tuple[tuple[str, str], ...]


def _by_namespace(sidecar: Resource[Sidecar]) -> Iterable[str]:
    return (sidecar.ref.namespace,)


SIDECARS_BY_NAMESPACE = Index(SIDECARS, _by_namespace, "sidecars by namespace")


@query
def sidecars(q: Asking, namespace: str) -> tuple[tuple[Ref, Pairs], ...]:
    """Return a namespace's Sidecars with what they select: those with selectors first, each group oldest first."""
    found = sorted(q.by(SIDECARS_BY_NAMESPACE, namespace), key=lambda s: (not _selector(s), s.age_order))
    return tuple((sidecar.ref, _selector(sidecar)) for sidecar in found)


def sidecar_for(q: Asking, namespace: str, labels: Pairs) -> Ref | None:
    """Return the Sidecar that applies to a workload with these labels, or None."""
    for ref, selector in q(sidecars, namespace):
        if selects(selector, labels):
            return ref
    root = q(root_namespace)
    return next((ref for ref, selector in q(sidecars, root) if not selector), None)


def _selector(sidecar: Resource[Sidecar]) -> Pairs:
    chooser = sidecar.spec.workload_selector
    return tuple(sorted(chooser.labels.items())) if chooser else ()
