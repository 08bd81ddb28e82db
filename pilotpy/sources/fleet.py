"""The Pods that are: from the Pods that workloads want, and from what becomes of them.

Two ways to get there. Plain: wanted Pods are there at once, and ready. Observed: somebody runs them
(the lab) and tells their states; then only Pods that were reported exist, a workload is replaced
step by step, and a Pod that must go is terminating from the moment that this is decided, so that
clients hear of it before it stops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from pilotpy.model.pod import Pod, PodCondition, PodIP
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.pool import Pool
from pilotpy.sources.rollout import Allowance, PodState, Present, same, step

POD_NETWORK = "10.44.0.0/16"
POD_NETWORK_IPV6 = "fd00:10:44::/112"
_LAB_ADDRESSES = 256  # the first 256 belong to the lab itself
_SOME_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # that a Pod is being deleted counts, not since when

_replace = msgspec.structs.replace


class _Group(msgspec.Struct):
    """The Pods of one workload, or one Pod that was written as such; keys are Pod names."""

    target: dict[str, Resource[Pod]]
    allowed: Allowance
    present: dict[str, Present] = {}
    finished: set[str] = set()  # ran to their end, and shall not run again


class Fleet:
    """All Pods of a source."""

    def __init__(self, *, observed: bool) -> None:
        self._observed = observed
        self._groups: dict[Ref, _Group] = {}
        self._group_of: dict[Ref, Ref] = {}
        self._pool = Pool(POD_NETWORK, _LAB_ADDRESSES)
        self._pool_ipv6 = Pool(POD_NETWORK_IPV6, _LAB_ADDRESSES)
        self._ipv6 = False
        self._waiting: defaultdict[Ref, set[Ref]] = defaultdict(set)  # Pod -> groups that want one of its name, too
        self._unsettled: set[Ref] = set()
        self._touched: set[Ref] = set()

    def want(self, group: Ref, pods: Iterable[Resource[Pod]], allowed: Allowance) -> None:
        """Say which Pods a workload wants now; none at all: it is gone."""
        target = {pod.ref.name: pod for pod in pods}
        known = self._groups.setdefault(group, _Group({}, allowed))
        known.target, known.allowed = target, allowed
        self._unsettled.add(group)

    def observe(self, pod: Ref, state: PodState) -> None:
        """Take note of what a Pod does. News of Pods that nobody knows (any more) are passed over."""
        group = self._group_of.get(pod)
        if group is None or not self._observed:
            return
        present = self._groups[group].present
        known = present[pod.name]
        if state is PodState.GONE:
            self._forget(group, pod)
            if known.pod.spec.restart_policy != "Always" and known.state is not PodState.TERMINATING:
                self._groups[group].finished.add(pod.name)
        elif known.state is not PodState.TERMINATING:
            present[pod.name] = Present(known.pod, state)
        self._touched.add(pod)
        self._unsettled.add(group)

    def serve_ipv6(self, wanted: bool) -> None:  # noqa: FBT001  # what is said is just this
        """Say whether Pods need an IPv6 address beside the other one."""
        if wanted != self._ipv6:
            self._ipv6 = wanted
            self._touched |= self._group_of.keys()

    def settle(self) -> set[Ref]:
        """Carry out all that was said since the last call. Returns the Pods that may look different now."""
        # Addresses given by hand come first: others have to go around them.
        for ref in sorted(self._unsettled):
            for pod in self._groups[ref].target.values():
                self._keep(pod.ref, pod.spec.status.pod_ip)
        while self._unsettled:
            unsettled, self._unsettled = self._unsettled, set()
            for ref in sorted(unsettled):
                group = self._groups[ref]
                if self._observed:
                    self._advance(ref, group)
                else:
                    self._arrive(ref, group)
                if not group.target and not group.present:
                    del self._groups[ref]
        touched, self._touched = self._touched, set()
        return touched

    def pod(self, ref: Ref) -> Resource[Pod] | None:
        """A Pod as a cluster would show it; None: it does not exist (yet)."""
        present = self._present(ref)
        if present is None or present.state is PodState.WANTED:
            return None
        return self._shown(present)

    def group(self, ref: Ref) -> Ref | None:
        """The workload (or the Pod itself) that a Pod stands under; None: nobody knows it."""
        return self._group_of.get(ref)

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        going = PodState.TERMINATING
        runs = (one for group in self._groups.values() for one in group.present.values() if one.state is not going)
        return tuple(self._shown(one) for one in sorted(runs, key=lambda one: one.pod.ref))

    def _present(self, ref: Ref) -> Present | None:
        group = self._group_of.get(ref)
        return self._groups[group].present[ref.name] if group else None

    def _keep(self, pod: Ref, address: str) -> None:
        """An address that somebody wrote for a Pod is its own; except under a kubelet, which gives out others."""
        evicted = None if self._observed else self._pool.keep(_owner(pod), address)
        if evicted:
            self._touched.add(Ref("Pod", *evicted.split("/", 1)))

    def _arrive(self, ref: Ref, group: _Group) -> None:
        for name in group.present.keys() - group.target.keys():
            self._forget(ref, group.present[name].pod.ref)
        for pod in group.target.values():
            if self._is_free(pod.ref, ref):
                self._place(ref, Present(pod, PodState.READY))

    def _advance(self, ref: Ref, group: _Group) -> None:
        mine = {name: pod for name, pod in group.target.items() if self._is_free(pod.ref, ref)}
        target = {name: pod for name, pod in mine.items() if name not in group.finished}
        while any(todo := step(target, group.present, group.allowed)):
            for name in todo.stop:
                pod, state = group.present[name]
                if state is PodState.WANTED:  # nobody has begun with it
                    self._forget(ref, pod.ref)
                else:
                    self._place(ref, Present(pod, PodState.TERMINATING))
            for pod in todo.start:
                self._place(ref, Present(pod, PodState.WANTED))
        for name, (pod, state) in group.present.items():
            edited = target.get(name, pod)
            if state is not PodState.TERMINATING and edited != pod and same(pod, edited):
                self._place(ref, Present(edited, state))

    def _is_free(self, pod: Ref, group: Ref) -> bool:
        """Whether a group may have a Pod of that name; as in a cluster, who came first has it. Waits for it if not."""
        free = self._group_of.get(pod, group) == group
        if not free:
            self._waiting[pod].add(group)
        return free

    def _place(self, group: Ref, one: Present) -> None:
        ref = one.pod.ref
        self._group_of[ref] = group
        self._groups[group].present[ref.name] = one
        self._touched.add(ref)

    def _forget(self, group: Ref, pod: Ref) -> None:
        del self._groups[group].present[pod.name]
        del self._group_of[pod]
        self._pool.release(_owner(pod))
        self._pool_ipv6.release(_owner(pod))
        self._touched.add(pod)
        self._unsettled |= self._waiting.pop(pod, set()) & self._groups.keys()

    def _shown(self, one: Present) -> Resource[Pod]:
        pod, state = one
        written = pod.spec.status
        owner = _owner(pod.ref)
        addresses = [self._pool.address(owner), *([self._pool_ipv6.address(owner)] if self._ipv6 else [])]
        begun = state in {PodState.READY, PodState.TERMINATING}
        conditions = (PodCondition(type="Ready", status="True" if begun else "False"),)
        status = _replace(
            written,
            phase="Pending" if state is PodState.WANTED else "Running",
            pod_ip=addresses[0],
            pod_ips=tuple(PodIP(ip=address) for address in addresses),
            conditions=conditions,
        )
        if not self._observed:  # what somebody wrote about a Pod is then all that is known of it
            status = _replace(
                status,
                phase=written.phase or "Running",
                pod_ips=written.pod_ips or status.pod_ips,
                conditions=written.conditions or conditions,
            )
        meta = _replace(pod.meta, deleted=_SOME_TIME) if state is PodState.TERMINATING else pod.meta
        return _replace(pod, meta=meta, spec=_replace(pod.spec, status=status))


def _owner(pod: Ref) -> str:
    return f"{pod.namespace}/{pod.name}"
