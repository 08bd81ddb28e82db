"""In place of a cluster's controllers and its scheduler: from what an API server holds to what shall be written there.

A state machine without I/O around `sources.stand_in`, which decides what runs. Here is what differs from a folder: a
Pod is there only once it was written, somebody may delete it, and what belonged to something that is gone must go, too,
as nobody else collects it. Nothing is done in a namespace that takes no part, nor to Pods of other nodes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from pilotpy.lab.cluster import made, revisions
from pilotpy.lab.cluster.holdings import Holdings
from pilotpy.lab.cluster.objects import WORKLOADS, Held, Object, read_as
from pilotpy.lab.cluster.workload_status import replica_counts, workload_status
from pilotpy.lab.cluster.writes import Verb, Write
from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.rollout import PodState
from pilotpy.sources.stand_in import StandIn

_FED: Final = WORKLOADS | {"Pod", "Service", "Namespace"}
_HELD_BACK: Final = frozenset({"foregroundDeletion", "orphan"})  # finalizers that a collector takes away
_NOWHERE: Final = Origin("", 0)


class Controllers:
    """Of all namespaces that take part. All calls come from one event loop."""

    def __init__(self, node: str, takes_part: Callable[[Resource[Any]], bool], now: Callable[[], datetime]) -> None:
        """`takes_part`: whether anything is done in a Namespace."""
        self._node = node
        self._takes_part = takes_part
        self._now = now
        self._stand_in = StandIn(observed=True)
        self._held = Holdings()
        self._told: dict[Ref, Resource[Any]] = {}  # what the stand-in knows
        self._services: dict[Ref, Resource[KubeService]] = {}
        self._pods: dict[Ref, Resource[Pod]] = {}  # that run
        self._makers: dict[Ref, Ref] = {}  # of Pods that run
        self._made: dict[Ref, Object] = {}  # Pods that run and were made here, as they began
        self._uids: dict[Ref, str] = {}  # of Pods that run
        self._begun: dict[Ref, datetime] = {}
        self._restarts = Counter[Ref]()
        self._finished = Counter[Ref]()  # Pods of a workload that came to their end
        self._ended: set[Ref] = set()  # Pods that came to their end and are kept to be looked at
        self._said: defaultdict[Ref, dict[str, bytes]] = defaultdict(dict)  # what was written last

    def take(self, changes: Iterable[Change]) -> list[Write]:
        """Take in what the API server says. Returns what shall be written, in this order."""
        touched: set[Ref] = set()
        deleted: list[Ref] = []
        for ref, _, old, new in changes:
            touched |= {ref} | self._hold(ref, old, new)
            if ref.kind == "Pod" and self._is_deleted(ref, old, new):
                deleted.append(ref)
        writes = self._tell(touched)
        for ref in deleted:
            writes += self.observe(ref, PodState.TERMINATING)
        return writes + [write for ref in sorted(touched) for write in self._kept(ref)]

    def observe(self, pod: Ref, state: PodState) -> list[Write]:
        """Take in what a Pod does. Returns what shall be written, in this order."""
        before = self._pods.get(pod)
        if state is PodState.STARTING and before is not None and made.is_ready(before):
            self._restarts[pod] += 1
        return self._follow(self._stand_in.observe(pod, state))

    def wrote(self, ref: Ref, uid: str) -> None:
        """Take note that an object was written."""
        if ref in self._pods:
            self._uids[ref] = uid

    def again(self, pod: Ref) -> list[Write]:
        """What shall be written of a Pod that was refused; nothing if it shall not be any more."""
        last = self._pods.get(pod)
        if last is None or pod in self._uids:
            return []
        self._said.pop(pod, None)
        return list(self._pod_written(Change(pod, _NOWHERE, last, last), self._makers[pod]))

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        return self._stand_in.wanted()

    def services(self) -> tuple[Resource[KubeService], ...]:
        """All Services that take part, with addresses."""
        return tuple(self._services.values())

    def written(self) -> Iterator[tuple[Resource[Pod], str]]:
        """The Pods that run and are known at the API server, each with its uid."""
        return ((self._pods[ref], uid) for ref, uid in self._uids.items())

    def is_made(self, pod: Ref) -> bool:
        """Whether a Pod that runs was made here."""
        return self._makers[pod] != pod

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What could not be done as a cluster would."""
        return self._stand_in.findings

    # What the API server holds.

    def _hold(self, ref: Ref, old: Resource[Held] | None, new: Resource[Held] | None) -> set[Ref]:
        """Keep an object. Returns others that it may concern."""
        if new is None:
            self._said.pop(ref, None)
            self._ended.discard(ref)
            if ref.kind in WORKLOADS:
                self._finished.pop(ref, None)
                self._begun.pop(ref, None)
        return self._held.put(ref, old, new)

    def _is_deleted(self, pod: Ref, old: Resource[Held] | None, new: Resource[Held] | None) -> bool:
        """Whether somebody deleted the very Pod that runs."""
        gone = old if new is None else new if new.meta.deleted else None
        return gone is not None and gone.spec.uid == self._uids.get(pod) and self._pods[pod].meta.deleted is None

    def _tell(self, touched: Iterable[Ref]) -> list[Write]:
        changes = []
        for ref in touched:
            old, new = self._told.get(ref), self._counting(ref)
            if old != new:
                changes.append(Change(ref, _NOWHERE, old, new))
                self._told.pop(ref) if new is None else self._told.update({ref: new})
        return self._follow(self._stand_in.apply(sorted(changes, key=lambda change: change.ref)))

    def _counting(self, ref: Ref) -> Resource[Any] | None:
        """An object as the stand-in is told of it; None: it does not count (any more)."""
        held = self._held.get(ref)
        if held is None or ref.kind not in _FED or held.meta.deleted or held.spec.finished:
            return None
        namespace = self._held.namespace(ref)
        if namespace is None or namespace.meta.deleted or not self._takes_part(namespace):
            return None
        if held.spec.owner is not None and held.spec.owner.kind in WORKLOADS:
            return None  # it is made here
        if ref.kind != "Pod":
            return read_as(held)
        pod: Pod = held.spec.payload
        if pod.node_name not in {"", self._node}:
            return None
        return Resource(ref, held.meta, msgspec.structs.replace(pod, node_name=self._node))  # bound, or about to be

    def _kept(self, ref: Ref) -> Iterator[Write]:
        """What else is to be done about an object."""
        held = self._held.get(ref)
        if held is None:
            return
        if ref.kind == "Namespace" and ref in self._told:
            account = Ref("ServiceAccount", ref.name, "default")
            if account not in self._held:
                yield from self._once(Verb.APPLY, account, {"metadata": {"namespace": ref.name, "name": "default"}})
        elif ref.kind == "Pod":
            yield from self._pod_kept(ref, held)
        elif ref.kind in WORKLOADS:
            namespace = self._held.namespace(ref)
            if namespace is not None and self._takes_part(namespace):
                yield from self._workload_kept(ref, held)

    def _pod_kept(self, ref: Ref, held: Resource[Held]) -> Iterator[Write]:
        if not held.spec.payload.node_name:
            if ref in self._told:
                target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
                body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": ref.name}, "target": target}
                yield from self._once(Verb.CREATE, ref, body, "binding")
            return
        if held.spec.payload.node_name != self._node or ref in self._pods:
            return
        ours = held.spec.owner is not None and held.spec.owner.kind in WORKLOADS
        kept = held.spec.finished or ref in self._ended
        left = ours and (not kept or self._held.is_orphan(held))
        if held.meta.deleted or left:  # by a lab before this one, or by somebody before it began
            yield Write(Verb.DELETE, ref, _now(held.spec.uid))

    def _workload_kept(self, ref: Ref, held: Resource[Held]) -> Iterator[Write]:
        if held.spec.owner is not None and held.spec.owner.kind in WORKLOADS and self._held.is_orphan(held):
            yield Write(Verb.DELETE, ref, _now(held.spec.uid))
        elif held.meta.deleted and _HELD_BACK & set(held.spec.finalizers) and ref not in self._makers.values():
            kept = [one for one in held.spec.finalizers if one not in _HELD_BACK]
            yield Write(Verb.MERGE, ref, {"metadata": {"finalizers": kept or None}})
        elif ref in self._told:
            yield from self._workload_written(held)

    # What runs.

    def _follow(self, changes: Iterable[Change]) -> list[Write]:
        """What is to be written of what changed in the cluster that there should be."""
        writes: list[Write] = []
        concerned: set[Ref] = set()
        for change in changes:
            ref, new = change.ref, change.new
            if ref.kind == "Pod":
                maker = self._makers.get(ref) or self._stand_in.made_from(ref)
                concerned.add(maker)
                writes += self._pod_written(change, maker)
            elif ref.kind == "EndpointSlice" and new is not None:
                owner = Ref("Service", ref.namespace, new.meta.owners[0].name)
                writes.append(Write(Verb.APPLY, ref, made.endpoint_slice(new), owner=owner))
            elif ref.kind == "EndpointSlice":
                writes.append(Write(Verb.DELETE, ref, {}))
            elif ref.kind == "Service" and new is None:
                self._services.pop(ref, None)
            elif ref.kind == "Service" and new is not None:
                self._services[ref] = new
        for ref in sorted(concerned):
            held = self._held.get(ref)
            if held is not None and ref.kind in WORKLOADS:
                writes += self._workload_kept(ref, held)
        return writes

    def _pod_written(self, change: Change, maker: Ref) -> Iterator[Write]:
        ref, _, old, new = change
        if new is None:
            assert old is not None, "a change is of something"
            yield from self._pod_ended(ref, old, maker)
            return
        self._pods[ref], self._makers[ref] = new, maker
        is_new = old is None
        if is_new:
            self._begun[ref] = self._now()
        held = self._held.get(maker)
        if is_new and maker != ref and held is not None:
            self._made[ref] = made.pod(new, held.spec.spec["template"], self._node)
            if maker.kind == "Deployment":
                yield from self._replica_sets(held)
        if ref in self._made:
            if not new.meta.deleted:
                yield from self._once(Verb.APPLY, ref, self._made[ref], owner=_owner(new, maker))
            elif old is not None and not old.meta.deleted and ref in self._uids:
                grace = new.spec.termination_grace_period_seconds
                yield Write(Verb.DELETE, ref, {"gracePeriodSeconds": 30 if grace is None else grace})
        elif held is not None:
            self._uids[ref] = held.spec.uid
            if new.meta.labels != held.meta.labels:
                yield from self._once(Verb.MERGE, ref, {"metadata": {"labels": dict(new.meta.labels)}})
        status = made.pod_status(new, self._begun[ref], self._restarts[ref], self._images(ref))
        yield from self._once(Verb.MERGE, ref, {"status": status}, "status")

    def _pod_ended(self, ref: Ref, last: Resource[Pod], maker: Ref) -> Iterator[Write]:
        begun, uid = self._begun.pop(ref), self._uids.pop(ref, "")
        restarts, images = self._restarts.pop(ref, 0), self._images(ref)
        del self._pods[ref], self._makers[ref]
        self._made.pop(ref, None)
        self._said.pop(ref, None)
        if last.spec.restart_policy != "Always" and not last.meta.deleted:
            self._finished[maker] += 1
            self._ended.add(ref)
            status = made.pod_ended(begun, self._now(), restarts, images)
            yield Write(Verb.MERGE, ref, {"status": status}, "status")
        elif maker != ref or (held := self._held.get(ref)) is None or held.meta.deleted:
            yield Write(Verb.DELETE, ref, _now(uid))
        else:  # it is somebody's, and merely begins anew
            yield Write(Verb.MERGE, ref, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "status")

    def _images(self, pod: Ref) -> dict[str, str]:
        if pod in self._made:
            return made.images(self._made[pod]["spec"])
        held = self._held.get(pod)
        return made.images(held.spec.spec) if held else {}

    # How workloads are.

    def _workload_written(self, held: Resource[Held]) -> Iterator[Write]:
        ref = held.ref
        if ref.kind == "Deployment":
            yield from self._replica_sets(held)
        pods = self._pods_of(ref)
        if pods:
            self._begun.setdefault(ref, min(self._begun[one.ref] for one in pods))
        begun = made.stamp(self._begun[ref]) if ref in self._begun else ""
        status = workload_status(held, pods, self._finished[ref], begun, made.stamp(self._now()))
        yield from self._once(Verb.MERGE, ref, {"status": status}, "status")

    def _replica_sets(self, held: Resource[Held]) -> Iterator[Write]:
        """The ReplicaSet that is, how those are that were, and which have had their time."""
        known = tuple(self._held.owned(held, "ReplicaSet"))
        ref, body = revisions.current(held, known)
        yield from self._once(Verb.APPLY, ref, body, owner=held.ref)
        live = [pod for pod in self._pods_of(held.ref) if not pod.meta.deleted]
        for one in {ref, *(each.ref for each in known)}:
            hashed = one.name.removeprefix(f"{held.ref.name}-")
            pods = [pod for pod in live if pod.meta.labels.get(made.HASH) == hashed]
            yield from self._once(Verb.MERGE, one, {"status": replica_counts(pods)}, "status")
        for former in known:
            if former.ref != ref and former.spec.spec.get("replicas"):
                yield Write(Verb.MERGE, former.ref, {"spec": {"replicas": 0}})
        for former in revisions.outlived(held, known):
            yield Write(Verb.DELETE, former.ref, _now(former.spec.uid))

    def _pods_of(self, workload: Ref) -> list[Resource[Pod]]:
        return [self._pods[pod] for pod, maker in self._makers.items() if maker == workload]

    def _once(
        self, verb: Verb, ref: Ref, body: Object, subresource: str = "", owner: Ref | None = None
    ) -> Iterator[Write]:
        """A write, unless the last one said the same."""
        said, known = made.counts_as(body), self._said[ref]
        if known.get(what := f"{verb.name}{subresource}") != said:
            known[what] = said
            yield Write(verb, ref, body, subresource, owner)


def _now(uid: str) -> Object:
    """How something is deleted without waiting, if it still is what it was."""
    at_once: Object = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    return at_once | ({"preconditions": {"uid": uid}} if uid else {})


def _owner(pod: Resource[Pod], maker: Ref) -> Ref:
    """What a Pod belongs to: of a Deployment its ReplicaSet."""
    named = pod.meta.owners[0]
    return Ref(named.kind, maker.namespace, named.name)
