"""In place of a cluster's controllers: from what a folder holds to what a cluster would hold.

Workloads become Pods, Pods and Services get addresses, Services that select Pods get EndpointSlices;
all else is passed on as it is. A state machine without I/O: objects and states of Pods come in,
changes of objects go out, and ``wanted`` tells which Pods somebody should run. An edit touches what
depends on it: a Deployment its own Pods and the slices of the Services that select them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.schema import codes
from pilotpy.sources import workloads
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.endpoint_slices import CONTROLLER, MANAGED_BY, SERVICE_LABEL, endpoint_slices
from pilotpy.sources.family import Family
from pilotpy.sources.fleet import Fleet
from pilotpy.sources.injection import has_sidecar, is_injected, labelled
from pilotpy.sources.rollout import Allowance, PodState, allowance
from pilotpy.sources.selection import Selection
from pilotpy.sources.service_addresses import ServiceAddresses, families

_WORKLOADS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"})
_ENDPOINTS = frozenset({"EndpointSlice", "Endpoints"})
_ZONE = "topology.kubernetes.io/zone"


class StandIn:
    """The controllers of a folder. Observed: Pods are run by somebody who reports them; else they just are."""

    def __init__(self, *, observed: bool = False) -> None:
        self._observed = observed
        self._written: dict[Ref, tuple[Resource[Any], Origin]] = {}
        self._shown: dict[Ref, tuple[Resource[Any], Origin]] = {}
        self._nodes: dict[Ref, Resource[Any]] = {}
        self._family = Family()
        self._fleet = Fleet(observed=observed)
        self._addresses = ServiceAddresses()
        self._selection = Selection()
        self._given: defaultdict[Ref, set[Ref]] = defaultdict(set)  # Service -> its endpoints, as written
        self._made: dict[Ref, set[Ref]] = {}  # Service -> its slices
        self._ipv6: set[Ref] = set()  # Services that ask for it
        self._findings: dict[Ref, Finding] = {}

    def apply(self, changes: Iterable[Change]) -> list[Change]:
        """Take in what was written. Returns what that changes in the cluster, sorted, each object once."""
        groups: set[Ref] = set()
        services: set[Ref] = set()
        passed: set[Ref] = set()
        for ref, origin, old, new in changes:
            if new is None:
                self._written.pop(ref, None)
            else:
                self._written[ref] = (new, origin)
            relatives = {ref} | self._family.put(ref, new)
            groups |= {one for one in relatives if _is_group(one)}
            if ref.kind in _ENDPOINTS:
                services |= self._note_endpoints(ref, old, new)
            elif ref.kind == "Namespace":
                groups |= {one for one in self._written if one.namespace == ref.name and _is_group(one)}
            elif ref.kind == "Node":
                self._note_node(ref, new)
                groups |= {one for one in self._written if one.kind in _WORKLOADS}
                services |= self._made.keys()
            if ref.kind == "Service":
                services.add(ref)
                passed |= self._given.get(ref, set())
                self._note_families(ref, new)
            elif ref.kind != "Pod":
                passed.add(ref)
        self._fleet.serve_ipv6(bool(self._ipv6))
        for ref in sorted(groups):
            pods, allowed = self._target(ref)
            self._fleet.want(ref, [labelled(pod) if self._has_proxy(pod) else pod for pod in pods], allowed)
        return sorted(self._passed(passed) + self._settled(services), key=lambda change: change.ref)

    def observe(self, pod: Ref, state: PodState) -> list[Change]:
        """Take in what a Pod does. Returns what that changes in the cluster, sorted, each object once."""
        self._fleet.observe(pod, state)
        return sorted(self._settled(set()), key=lambda change: change.ref)

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with their addresses. Those that are missing should stop."""
        return self._fleet.wanted()

    def made_from(self, ref: Ref) -> Ref:
        """The written object that a Pod or slice was made from; itself, if it was written."""
        if ref in self._written:
            return ref
        if ref.kind == "Pod":
            return self._fleet.group(ref) or ref
        shown = self._shown.get(ref)
        return (_service_of(shown[0]) if shown and ref.kind == "EndpointSlice" else None) or ref

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What could not be done as a cluster would; sorted by object."""
        return tuple(self._findings[ref] for ref in sorted(self._findings))

    def _note_endpoints(self, ref: Ref, old: Resource[Any] | None, new: Resource[Any] | None) -> set[Ref]:
        """Remember whose endpoints were written by hand. Returns the Services concerned."""
        concerned = {service for one in (old, new) if one and (service := _service_of(one))}
        for service in concerned:
            self._given[service].discard(ref)
        if new and (service := _service_of(new)):
            self._given[service].add(ref)
        return {service for service in concerned if service in self._written}

    def _note_families(self, ref: Ref, new: Resource[Any] | None) -> None:
        if new is not None and "IPv6" in families(new.spec):
            self._ipv6.add(ref)
        else:
            self._ipv6.discard(ref)

    def _note_node(self, ref: Ref, new: Resource[Any] | None) -> None:
        if new is None:
            self._nodes.pop(ref, None)
        else:
            self._nodes[ref] = new

    def _target(self, ref: Ref) -> tuple[Iterable[Resource[Pod]], Allowance]:
        """The Pods that a written Pod or workload wants. In a dump, either the makers or the made count."""
        nothing: tuple[Iterable[Resource[Pod]], Allowance] = (), Allowance(0, 1)
        self._findings.pop(ref, None)
        if ref not in self._written:
            return nothing
        written, origin = self._written[ref]
        makers = [one for one in self._family.ancestors(ref) if one in self._written and one.kind in _WORKLOADS]
        if ref.kind == "Pod":
            return nothing if makers and self._observed else ((written,), Allowance(0, 1))
        pods_written = any(one.kind == "Pod" for one in self._family.descendants(ref))
        if makers or (pods_written and not self._observed):
            return nothing
        wanted = workloads.replicas(written.spec)
        if wanted is not None and wanted > workloads.MOST_REPLICAS:
            self._findings[ref] = Finding(
                code=codes.TOO_MUCH,
                severity=Severity.WARNING,
                message=f"{wanted} Pods are wanted, {workloads.MOST_REPLICAS} are made",
                ref=ref,
                field="spec.replicas",
                hint=f"Ask for at most {workloads.MOST_REPLICAS}",
                file=origin.file,
                line=origin.line,
            )
        pods = workloads.pods(written, list(self._nodes.values()))
        return pods, allowance(written.spec, len(pods))

    def _has_proxy(self, pod: Resource[Pod]) -> bool:
        if self._observed:
            return has_sidecar(pod)
        namespace = self._written.get(Ref("Namespace", "", pod.ref.namespace))
        return is_injected(pod, namespace[0].meta.labels if namespace else {})

    def _passed(self, refs: Iterable[Ref]) -> list[Change]:
        """Objects that are shown as written; what stale controllers of a dump left of endpoints is not."""
        changes = []
        for ref in refs:
            written, origin = self._written.get(ref, (None, Origin("", 0)))
            if written is not None and ref.kind in _ENDPOINTS and self._ours(ref, _service_of(written)):
                written = None
            changes += self._show(ref, written, origin)
        return changes

    def _settled(self, services: set[Ref]) -> list[Change]:
        """What follows from Pods that came, went or changed, and for the Services."""
        changes: list[Change] = []
        for ref in sorted(self._fleet.settle()):
            services |= set(self._selection.services(ref))
            pod = self._fleet.pod(ref)
            self._selection.put_pod(ref, pod.meta.labels if pod else None)
            services |= set(self._selection.services(ref))
            changes += self._show(ref, pod, self._origin(ref))
        for ref in tuple(services):
            if ref in self._written:
                services |= self._addresses.keep(self._written[ref][0])
            else:
                self._addresses.release(ref)
        zones = {ref.name: zone for ref, node in self._nodes.items() if (zone := node.meta.labels.get(_ZONE))}
        for ref in sorted(services):
            changes += self._serviced(ref, zones)
        return changes

    def _serviced(self, ref: Ref, zones: dict[str, str]) -> list[Change]:
        """What is shown of a Service: itself with addresses, and its slices."""
        written, origin = self._written.get(ref, (None, Origin("", 0)))
        service = self._addresses.addressed(written) if written else None
        self._selection.put_service(ref, service.spec.selector if service else {})
        slices = {}
        if service and service.spec.selector and all(self._ours(one, ref) for one in self._given.get(ref, ())):
            pods = (self._fleet.pod(pod) for pod in self._selection.pods(ref))
            slices = {one.ref: one for one in endpoint_slices(service, filter(None, pods), zones)}
        changes = self._show(ref, service, origin)
        for gone in self._made.pop(ref, set()) - slices.keys():
            changes += self._show(gone, None, origin)
        if slices:
            self._made[ref] = set(slices)
        for slice_ref, one in slices.items():
            changes += self._show(slice_ref, one, origin)
        return changes

    def _ours(self, endpoints: Ref, service: Ref | None) -> bool:
        """Whether written endpoints are but what a controller once made of other Pods than ours."""
        written = self._written.get(endpoints)
        if not self._observed or service not in self._written or written is None:
            return False
        selects = bool(self._written[service][0].spec.selector)
        return selects and (endpoints.kind == "Endpoints" or written[0].meta.labels.get(MANAGED_BY) == CONTROLLER)

    def _origin(self, ref: Ref) -> Origin:
        written = self._written.get(self.made_from(ref)) or self._shown.get(ref)
        return written[1] if written else Origin("", 0)

    def _show(self, ref: Ref, new: Resource[Any] | None, origin: Origin) -> list[Change]:
        old, known = self._shown.get(ref, (None, origin))
        if new is None:
            self._shown.pop(ref, None)
            origin = known
        else:
            self._shown[ref] = (new, origin)
        return [Change(ref, origin, old, new)] if old != new else []


def _is_group(ref: Ref) -> bool:
    return ref.kind == "Pod" or ref.kind in _WORKLOADS


def _service_of(endpoints: Resource[Any]) -> Ref | None:
    name = endpoints.ref.name if endpoints.ref.kind == "Endpoints" else endpoints.meta.labels.get(SERVICE_LABEL)
    return Ref("Service", endpoints.ref.namespace, name) if name else None
