"""From a Deployment, ReplicaSet, StatefulSet, DaemonSet or Job to the Pods that it wants.

In a folder nobody runs controllers. The Pods look as a cluster's would: names, labels, owners,
host names, nodes; except that chance is replaced by hashes, so that the same template gives the
same names, and another template others. Source: kubernetes pkg/controller/{deployment,replicaset,
statefulset,daemon,job}.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count

import msgspec

from pilotpy.model.kubernetes import Node
from pilotpy.model.pod import Pod, PodSpec
from pilotpy.model.resource import Meta, Owner, Ref, Resource
from pilotpy.model.workload import DaemonSet, Deployment, Job, PodTemplate, ReplicaSet, StatefulSet

Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet | Job

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # spells no words: apimachinery pkg/util/rand
MOST_REPLICAS = 10_000
"""No workload gets more Pods than that: a typing error shall not fill the memory."""

_LONGEST_PREFIX = 57  # with a dash and five letters it still fits a DNS label


def revision(template: PodTemplate) -> str:
    """Ten letters for what a template says; as far as a mesh reads it."""
    return _word(msgspec.json.encode(template, order="deterministic"), 10)


def replicas(workload: Workload) -> int | None:
    """How many Pods are wanted, be it more than MOST_REPLICAS; None: one on every node."""
    if isinstance(workload, DaemonSet):
        return None
    if isinstance(workload, Job):
        if workload.suspend:
            return 0
        most = 1 if workload.parallelism is None else workload.parallelism
        return max(0, most if workload.completions is None else min(most, workload.completions))
    return max(0, 1 if workload.replicas is None else workload.replicas)


def pods(workload: Resource[Workload], nodes: Sequence[Resource[Node]]) -> tuple[Resource[Pod], ...]:
    """The Pods that a workload wants, unique by name, without addresses or state. May be empty.

    Pods without a ``nodeName`` take turns on the nodes (sorted) that their ``nodeSelector`` allows;
    where there are no nodes they have none, and a DaemonSet wants one Pod.
    """
    spec, ref, hashed = workload.spec, workload.ref, revision(workload.spec.template)
    hosts = _hosts(spec.template.spec, nodes)
    size = min(replicas(spec) or 0, MOST_REPLICAS)
    if isinstance(spec, DaemonSet):
        words = _words(f"{ref}/{hashed}/{host}" for host in hosts)
        return tuple(_pod(workload, hashed, word, host) for word, host in zip(words, hosts, strict=True))
    turn = zlib.crc32(str(ref).encode())  # not every first Pod on the first node
    on = [hosts[(turn + i) % len(hosts)] if hosts else "" for i in range(size)]
    if isinstance(spec, StatefulSet):
        first = spec.ordinals.start if spec.ordinals else 0
        return tuple(_numbered(_pod(workload, hashed, str(i), host), i, spec) for i, host in enumerate(on, first))
    words = _words(f"{ref}/{hashed}/{i}" for i in range(size))
    return tuple(_pod(workload, hashed, word, host) for word, host in zip(words, on, strict=True))


def _pod(workload: Resource[Workload], hashed: str, suffix: str, node: str) -> Resource[Pod]:
    ref, template = workload.ref, workload.spec.template
    owner = Owner(kind=ref.kind, name=ref.name, controller=True)
    match workload.spec:
        case Deployment():
            owner = Owner(kind="ReplicaSet", name=f"{ref.name}-{hashed}", controller=True)
            labels = {"pod-template-hash": hashed}
        case ReplicaSet():
            labels = {}
        case Job():
            labels = {"job-name": ref.name, "batch.kubernetes.io/job-name": ref.name}
        case StatefulSet() | DaemonSet():
            labels = {"controller-revision-hash": hashed}
    numbered = isinstance(workload.spec, StatefulSet)
    name = f"{owner.name if numbered else owner.name[:_LONGEST_PREFIX]}-{suffix}"
    written = {field: getattr(template.spec, field) for field in PodSpec.__struct_fields__}
    return Resource(
        Ref("Pod", ref.namespace, name),
        Meta(
            name=name,
            namespace=ref.namespace,
            labels={**template.metadata.labels, **labels},
            annotations=template.metadata.annotations,
            created=workload.meta.created,
            owners=(owner,),
            generate_name=f"{owner.name}-",
        ),
        Pod(**written | {"node_name": template.spec.node_name or node}),
    )


def _numbered(pod: Resource[Pod], ordinal: int, workload: StatefulSet) -> Resource[Pod]:
    """A StatefulSet's Pod: it knows its number, and goes by its name in the DNS."""
    name, replace = pod.ref.name, msgspec.structs.replace
    labels = {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
    return replace(
        pod,
        meta=replace(pod.meta, labels={**pod.meta.labels, **labels}, generate_name=""),
        spec=replace(pod.spec, hostname=name, subdomain=workload.service_name),
    )


def _hosts(spec: PodSpec, nodes: Sequence[Resource[Node]]) -> list[str]:
    """Names of the nodes that a Pod may run on, sorted; [""] stands for a node that nobody wrote down."""
    fit = [
        node.ref.name
        for node in nodes
        if not node.spec.unschedulable and spec.node_selector.items() <= node.meta.labels.items()
    ]
    return sorted(fit) if nodes else [""]


def _words(seeds: Iterable[str]) -> Iterator[str]:
    """A word of five letters for each seed, no two the same; the first n follow from the first n seeds."""
    seen: set[str] = set()
    for seed in seeds:
        word = next(word for salt in count() if (word := _word(f"{seed}/{salt}".encode(), 5)) not in seen)
        seen.add(word)
        yield word


def _word(content: bytes, length: int) -> str:
    number = int.from_bytes(blake2b(content, digest_size=16).digest(), "big")
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)
