"""A cluster in memory: an API server that does as it is asked, a node that runs what it should, controllers between."""

import json
from collections import Counter
from datetime import UTC, datetime
from functools import partial

import yaml

from pilotpy.lab.cluster.caution import takes_part
from pilotpy.lab.cluster.controllers import Controllers
from pilotpy.lab.cluster.node import NODE
from pilotpy.lab.cluster.objects import READ, api_version
from pilotpy.lab.cluster.writes import Verb
from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.mirror import Mirror
from pilotpy.sources.kubernetes.wire import Event
from pilotpy.sources.rollout import PodState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
_READ = {one.kind: one for one in READ}
_GRACEFUL = {"Pod"}


def merged(old, change):
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


class World:
    """Settles after each thing that is done to it: until nobody has anything to write or to report any more."""

    def __init__(self, *, everywhere=True):
        self.objects = {}
        self.writes = Counter()
        self.written = []
        self.running = {}
        self.refused = set()  # kinds that are not taken
        self.ends = set()  # names of Pods whose application comes to its end
        self._everywhere = everywhere
        self._uids = iter(range(1, 10**6))
        self._gone = {}  # as they were last
        self.begin()

    def begin(self):
        """A lab that knows nothing yet."""
        self.running = {}
        self._mirrors = {kind: Mirror(collection) for kind, collection in _READ.items()}
        self.controllers = Controllers(NODE, partial(takes_part, everywhere=self._everywhere), lambda: NOW)
        self._deleted = []

    def create(self, text):
        for one in yaml.safe_load_all(text):
            metadata = one["metadata"]
            if one["kind"] != "Namespace":
                metadata.setdefault("namespace", "default")
            self._put(Ref(one["kind"], metadata.get("namespace", ""), metadata["name"]), one)
        return self.settle()

    def patch(self, kind, name, change, namespace="default"):
        ref = Ref(kind, namespace, name)
        self._put(ref, merged(self.objects[ref], change))
        return self.settle()

    def delete(self, kind, name, namespace="default", *, foreground=False):
        ref = Ref(kind, namespace, name)
        one = self.objects[ref]
        if foreground:
            one = merged(one, {"metadata": {"finalizers": ["foregroundDeletion"]}})
        graceful = foreground or (kind in _GRACEFUL and one["spec"].get("nodeName"))
        self._remove(ref, one, at_once=not graceful)
        return self.settle()

    def names(self, kind, namespace="default"):
        return sorted(ref.name for ref in self.objects if (ref.kind, ref.namespace) == (kind, namespace))

    def one(self, kind, name, namespace="default"):
        return self.objects[Ref(kind, namespace, name)]

    def settle(self):
        for _ in range(200):
            if not (self._hear() | self._run()):
                return self
        raise AssertionError(f"never at rest: {self.writes.most_common(5)}")

    def _hear(self):
        changes = []
        for ref in self._deleted:
            changes += self._mirrors[ref.kind].update([self._event("DELETED", ref, self._gone[ref])])
        self._deleted = []
        for ref, one in self.objects.items():
            if ref.kind in _READ:
                changes += self._mirrors[ref.kind].update([self._event("MODIFIED", ref, one)])
        if changes:
            self._take(self.controllers.take(changes))
        return bool(changes)

    def _run(self):
        """What a node does in one step."""
        wanted = {pod.ref: pod for pod in self.controllers.wanted()}
        reports = []
        for ref, state in list(self.running.items()):
            if ref not in wanted or (state is PodState.READY and ref.name in self.ends):
                del self.running[ref]
                reports += [(ref, PodState.TERMINATING)] if ref not in wanted else []
                reports.append((ref, PodState.GONE))
            elif state is PodState.STARTING:
                self.running[ref] = PodState.READY
                reports.append((ref, PodState.READY))
        for ref in wanted.keys() - self.running.keys() - {ref for ref, _ in reports}:
            self.running[ref] = PodState.STARTING
            reports.append((ref, PodState.STARTING))
        for ref, state in reports:
            self._take(self.controllers.observe(ref, state))
        return bool(reports)

    def _take(self, writes):
        for write in writes:
            self.writes[write.ref] += 1
            self.written.append(write)
            known = self.objects.get(write.ref)
            if write.verb is Verb.APPLY and write.ref.kind in self.refused:
                continue
            if write.verb is Verb.APPLY:
                body = {"kind": write.ref.kind, "apiVersion": api_version(write.ref.kind)} | write.body
                if write.owner is not None:
                    owner = self.objects[write.owner]
                    reference = {"kind": write.owner.kind, "name": write.owner.name, "controller": True}
                    reference["uid"] = owner["metadata"]["uid"]
                    body["metadata"] = body["metadata"] | {"ownerReferences": [reference]}
                self._put(write.ref, merged(known or {}, body))
                self.controllers.wrote(write.ref, self.objects[write.ref]["metadata"]["uid"])
            elif known is None:
                continue
            elif write.verb is Verb.MERGE:
                self._put(write.ref, merged(known, write.body))
            elif write.verb is Verb.CREATE:
                assert write.subresource == "binding"
                self._put(write.ref, merged(known, {"spec": {"nodeName": write.body["target"]["name"]}}))
            else:
                wanted = write.body.get("preconditions", {}).get("uid", known["metadata"]["uid"])
                if wanted == known["metadata"]["uid"]:
                    seconds = write.body.get("gracePeriodSeconds", 0)
                    self._remove(write.ref, known, at_once=not seconds or write.ref.kind not in _GRACEFUL)

    def _put(self, ref, one):
        known = self.objects.get(ref)
        metadata = dict(one["metadata"])
        if known is None:
            metadata |= {"uid": f"uid-{next(self._uids)}", "generation": 1}
        elif known.get("spec") != one.get("spec"):
            metadata["generation"] = known["metadata"]["generation"] + 1
        self.objects[ref] = json.loads(json.dumps(one | {"metadata": metadata}))
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and ref.kind not in _GRACEFUL:
            self._remove(ref, self.objects[ref], at_once=True)

    def _remove(self, ref, one, *, at_once):
        if at_once:
            self._gone[ref] = self.objects.pop(ref)
            self._deleted += [ref] if ref.kind in _READ else []
        else:
            self.objects[ref] = merged(one, {"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}})

    def _event(self, kind, ref, one):
        return Event(kind, json.dumps({"kind": ref.kind} | one).encode())
