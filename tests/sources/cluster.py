"""A cluster of one StandIn, written to in YAML, with a kubelet that does as it is told."""

from pilotpy.model.resource import Ref
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents
from pilotpy.sources.change import Change
from pilotpy.sources.manifest import Written
from pilotpy.sources.rollout import PodState
from pilotpy.sources.stand_in import StandIn


def objects(text):
    """The objects of a YAML text; all of them must be right."""
    found = []
    read = documents(text, "in.yaml")
    assert not read.findings
    for raw, lines in read.objects:
        resource, findings = decode_object(raw)
        assert not findings
        found.append(Written(resource, lines))
    return found


class Cluster:
    """What a StandIn shows, checked to be what its changes say."""

    def __init__(self, *, observed=False):
        self.stand_in = StandIn(observed=observed)
        self.written = {}
        self.shown = {}

    def write(self, text):
        """Add or replace the objects of a text. Returns the refs that change, as text."""
        changes = []
        for one in objects(text):
            ref = one.resource.ref
            changes.append(Change(ref, one.origin, self.written.get(ref), one.resource))
            self.written[ref] = one.resource
        return self._see(self.stand_in.apply(changes))

    def remove(self, kind, name, namespace="default"):
        ref = Ref(kind, namespace, name)
        return self._see(self.stand_in.apply([Change(ref, ("", 0), self.written.pop(ref), None)]))

    def report(self, name, state, namespace="default"):
        return self._see(self.stand_in.observe(Ref("Pod", namespace, name), state))

    def _see(self, changes):
        assert len({change.ref for change in changes}) == len(changes)
        for ref, _, old, new in changes:
            assert self.shown.get(ref) == old
            assert old != new
            if new is None:
                del self.shown[ref]
            else:
                self.shown[ref] = new
        return [str(change.ref) for change in changes]

    def of(self, kind):
        return {ref.name: one for ref, one in sorted(self.shown.items()) if ref.kind == kind}

    @property
    def pods(self):
        return self.of("Pod")

    @property
    def wanted(self):
        return {pod.ref.name: pod for pod in self.stand_in.wanted()}

    def endpoints(self, service):
        """Of each Pod behind a Service: address and ports."""
        return {
            endpoint.target_ref.name: (endpoint.addresses[0], *[port.port for port in one.spec.ports])
            for one in self.of("EndpointSlice").values()
            if one.meta.labels["kubernetes.io/service-name"] == service
            for endpoint in one.spec.endpoints
        }

    def ready(self, service):
        """Names of the Pods that a Service sends requests to."""
        return {
            endpoint.target_ref.name
            for one in self.of("EndpointSlice").values()
            if one.meta.labels["kubernetes.io/service-name"] == service
            for endpoint in one.spec.endpoints
            if endpoint.conditions.ready
        }

    def run_all(self):
        """Start what is wanted, end what is not; all at once, until nothing is left to do."""
        while True:
            wanted = self.wanted
            starting = [name for name in wanted if name not in self.pods or not is_ready(self.pods[name])]
            ending = [name for name in self.pods if name not in wanted]
            if not starting and not ending:
                return
            for name in starting:
                self.report(name, PodState.READY)
            for name in ending:
                self.report(name, PodState.GONE)


def is_ready(pod):
    return any(one.type == "Ready" and one.status == "True" for one in pod.spec.status.conditions)
