"""Mutual TLS: what workloads insist on, and which destinations are spoken to with it unasked.

From PeerAuthentications to the modes of a workload's ports, strongest first: a port of the oldest policy that selects
the workload, that policy, the oldest policy of the namespace, the oldest of the root namespace. What a level leaves
UNSET comes from the next. Follows istiod's ``pilot/pkg/model/authentication.go``, ``policy_applier.go`` and, for
clients, ``core/cluster_tls.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import mesh_config, root_namespace
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.kinds import PEER_AUTHENTICATIONS
from pilotpy.mesh.service import Endpoint, ServiceKey
from pilotpy.mesh.view import Mode, Modes
from pilotpy.mesh.workloads import MUTUAL, selects
from pilotpy.model.peer_authentication import MutualTLS, PeerAuthentication
from pilotpy.model.resource import Resource

Pairs = tuple[tuple[str, str], ...]


def policy_selector(policy: Resource[PeerAuthentication]) -> Pairs:
    """Return the labels that a policy selects by, sorted; empty: it is for its whole namespace."""
    chooser = policy.spec.selector
    return tuple(sorted(chooser.match_labels.items())) if chooser else ()


def _by_namespace(policy: Resource[PeerAuthentication]) -> Iterable[tuple[str, bool]]:
    return ((policy.ref.namespace, bool(policy_selector(policy))),)


PEER_POLICIES = Index(PEER_AUTHENTICATIONS, _by_namespace, "peer authentications by namespace and having a selector")


class Plaintext(NamedTuple):
    """Which workloads of a namespace, or ports of theirs, take no mutual TLS. Equal while none of them changes."""

    everywhere: bool = False
    selected: tuple[tuple[Pairs, Modes], ...] = ()  # oldest policy first; the first that selects a workload counts

    def covers(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint of the namespace is among them."""
        for selector, modes in self.selected:
            if selects(selector, endpoint.labels):
                return modes.on(endpoint.port) is Mode.DISABLE
        return self.everywhere


def peer_modes(q: Asking, namespace: str, labels: Pairs) -> Modes:
    """Return the modes of a workload with these labels."""
    for selector, modes in q(workload_modes, namespace):
        if selects(selector, labels):
            return modes
    return Modes(q(namespace_mode, namespace))


@query
def namespace_mode(q: Asking, namespace: str) -> Mode:
    """Return the mode of workloads that no policy selects; in the root namespace that of the mesh."""
    root = q(root_namespace)
    policies = sorted(q.by(PEER_POLICIES, (namespace, False)), key=lambda policy: policy.age_order)
    above = Mode.PERMISSIVE if namespace == root else q(namespace_mode, root)
    return _mode(policies[0].spec.mtls if policies else None, above)


@query
def workload_modes(q: Asking, namespace: str) -> tuple[tuple[Pairs, Modes], ...]:
    """Return the policies of a namespace that select workloads, resolved, oldest first; in the root namespace none."""
    if namespace == q(root_namespace):
        return ()
    policies = sorted(q.by(PEER_POLICIES, (namespace, True)), key=lambda policy: policy.age_order)
    above = q(namespace_mode, namespace) if policies else Mode.PERMISSIVE
    return tuple((policy_selector(policy), _modes(policy.spec, above)) for policy in policies)


@query
def plaintext(q: Asking, namespace: str) -> Plaintext:
    """Return which endpoints in a namespace take no mutual TLS."""
    everywhere = q(namespace_mode, namespace) is Mode.DISABLE
    selected = q(workload_modes, namespace)
    matters = everywhere or any(
        Mode.DISABLE in {modes.mode, *(mode for _, mode in modes.ports)} for _, modes in selected
    )
    return Plaintext(everywhere, selected if matters else ())


@query
def auto_mutual(q: Asking, namespace: str) -> bool:
    """Return whether clients speak mutual TLS to the services of a namespace where no rule says how to speak."""
    return q(mesh_config).enable_auto_mtls and q(namespace_mode, namespace) is not Mode.DISABLE


@query
def all_mutual(q: Asking, key: ServiceKey, port_name: str) -> bool:
    """Return whether a service's port has endpoints, and all of them a proxy that takes mutual TLS."""
    found = q(endpoints, key, port_name)
    return bool(found) and all(endpoint.tls_mode == MUTUAL for endpoint in found)


def _modes(spec: PeerAuthentication, above: Mode) -> Modes:
    own = _mode(spec.mtls, above)
    ports = {int(port): _mode(mtls, own) for port, mtls in spec.port_level_mtls.items() if port.isdecimal()}
    return Modes(own, tuple(sorted(ports.items(), key=lambda one: one[0])))


def _mode(written: MutualTLS | None, above: Mode) -> Mode:
    return above if written is None or written.mode == "UNSET" else Mode[written.mode]
