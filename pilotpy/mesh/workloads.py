"""Workloads: what runs behind an address, as far as clients and policies ask.

From Pods with their Nodes, and from WorkloadEntries, to one ``Workload``. Follows Istio's
``serviceregistry/kube/controller`` (pods, locality, augmented labels) and ``serviceentry``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.clusters import parted
from pilotpy.mesh.kinds import NODES, PODS, WORKLOAD_ENTRIES
from pilotpy.mesh.networks import NETWORK, site
from pilotpy.mesh.service import HOME, Locality
from pilotpy.mesh.services import trust_domain
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource
from pilotpy.model.workload_entry import RegisteredWorkload, WorkloadEntry

Pairs = tuple[tuple[str, str], ...]

_REGION = "topology.kubernetes.io/region"
_ZONE = "topology.kubernetes.io/zone"
_SUBZONE = "topology.istio.io/subzone"
_HEALTH_CHECKED = "proxy.istio.io/health-checks-enabled"
_TLS_MODE = "security.istio.io/tlsMode"
MUTUAL = "istio"  # the mode of a workload whose proxy takes Istio's mutual TLS
_SCHEDULED = re.compile(r"-\d{8,10}$")  # how a CronJob names its Jobs


class Workload(NamedTuple):
    """One workload instance."""

    namespace: str
    name: str  # of the Pod or WorkloadEntry
    addresses: tuple[str, ...]
    labels: Pairs  # sorted, with those that say where it runs
    service_account: str = ""  # SPIFFE URI or ""
    locality: Locality = Locality()
    network: str = ""
    node: str = ""
    owner: str = ""  # what made it: "reviews-v1"
    hostname: str = ""
    subdomain: str = ""
    ports: tuple[tuple[str, int, str], ...] = ()  # named ports: name, number, transport
    weight: int = 1
    ready: bool = True
    tls_mode: str = ""  # "istio": a proxy in front of it takes mutual TLS
    cluster: str = HOME


def _pod_labels(pod: Resource[Pod]) -> Iterable[tuple[str, str, str]]:
    return [(pod.ref.namespace, *label) for label in pod.meta.labels.items()]


def _pod_addresses(pod: Resource[Pod]) -> Iterable[str]:
    # The address of the host is that of many, and says nothing about any of them.
    return () if pod.spec.host_network else _addresses(pod.spec)


def _pod_blocks(pod: Resource[Pod]) -> Iterable[str]:
    return {_block(address) for address in _pod_addresses(pod)}


def _entry_namespace(entry: Resource[RegisteredWorkload]) -> Iterable[str]:
    return (entry.ref.namespace,)


def _entry_labels(entry: Resource[RegisteredWorkload]) -> Iterable[tuple[str, str, str]]:
    return [(entry.ref.namespace, *label) for label in entry.spec.labels.items()]


def _entry_address(entry: Resource[RegisteredWorkload]) -> Iterable[str]:
    return (entry.spec.address,)


PODS_BY_LABEL = Index(PODS, _pod_labels, "pods by label")
PODS_BY_ADDRESS = Index(PODS, _pod_addresses, "pods by address")
PODS_BY_BLOCK = Index(PODS, _pod_blocks, "pods by block of addresses")
ENTRIES_BY_NAMESPACE = Index(WORKLOAD_ENTRIES, _entry_namespace, "workload entries by namespace")
ENTRIES_BY_LABEL = Index(WORKLOAD_ENTRIES, _entry_labels, "workload entries by label")
WORKLOADS_BY_ADDRESS = Index(WORKLOAD_ENTRIES, _entry_address, "workload entries by address")


@query
def pod_workload(q: Asking, namespace: str, name: str) -> Workload | None:
    """Return the workload that a Pod is, or None if there is no such Pod.

    Pods of other clusters are called <name>@<cluster>, and so are their Nodes.
    """
    pod = q.get(PODS, namespace, name)
    if pod is None:
        return None
    bare, cluster = parted(name)
    here = q(site, cluster)
    spec, labels, addresses = pod.spec, pod.meta.labels, _addresses(pod.spec)
    locality = labelled_locality(labels) or q(node_locality, spec.node_name)
    network = here.network_of(addresses[0] if addresses else "", labels)
    account = spec.service_account_name or spec.service_account or "default"
    return Workload(
        namespace=namespace,
        name=bare,
        cluster=here.cluster,
        addresses=addresses,
        labels=augmented(labels, locality, network=network, node=parted(spec.node_name)[0], cluster=here.cluster),
        service_account=q(identity, namespace, account),
        locality=locality,
        network=network,
        node=spec.node_name,
        owner=_owner(pod),
        hostname=spec.hostname,
        subdomain=spec.subdomain,
        ports=tuple((p.name, p.container_port, p.protocol) for c in spec.containers for p in c.ports if p.name),
        ready=pod.meta.deleted is None and _ready(spec),
        tls_mode=labels.get(_TLS_MODE, ""),
    )


def pod_at(q: Asking, address: str, cluster: str) -> Workload | None:
    """Return the Pod of a cluster ("": home) that has an address, the first of several.

    None if there is none, or it runs on its host's.
    """
    keys = q.keys(PODS_BY_ADDRESS, address) if q(_has_pods, _block(address)) else ()
    names = [(str(namespace), str(name)) for namespace, name in keys if parted(str(name))[1] == cluster]
    return q(pod_workload, *names[0]) if names else None


@query
def _has_pods(q: Asking, block: str) -> bool:
    # Addresses that no Pod has come in blocks: one answer for all of a block, instead of one for each.
    return bool(q.keys(PODS_BY_BLOCK, block))


def _block(address: str) -> str:
    """Return what an address has in common with its neighbours: all but its last part."""
    return address.rpartition(":" if ":" in address else ".")[0]


@query
def entry_workload(q: Asking, namespace: str, name: str) -> Workload | None:
    """Return the workload that a WorkloadEntry is, or None if there is no such entry."""
    entry = q.get(WORKLOAD_ENTRIES, namespace, name)
    if entry is None:
        return None
    return workload_of(q, entry.spec, namespace, name, entry.meta.labels)._replace(ready=_healthy(entry))


def _healthy(entry: Resource[RegisteredWorkload]) -> bool:
    """Return whether a workload takes traffic; one whose health is checked does not until a check has gone well."""
    conditions = entry.spec.status.conditions if entry.spec.status else ()
    said = [one.status == "True" for one in conditions if one.type == "Healthy"]
    return said[0] if said else entry.meta.annotations.get(_HEALTH_CHECKED) != "true"


def workload_of(
    q: Asking, entry: WorkloadEntry, namespace: str, name: str, beneath: Mapping[str, str] | None = None
) -> Workload:
    """Return the workload that an entry describes, with more labels ``beneath`` its own."""
    labels = {**(beneath or {}), **entry.labels}
    locality = _locality(entry.locality) or labelled_locality(labels) or Locality()
    home = q(site, "")
    network = entry.network or home.network_of(entry.address, labels)
    return Workload(
        namespace=namespace,
        name=name,
        addresses=(entry.address,) if entry.address else (),
        labels=augmented(labels, locality, network=network, cluster=home.cluster),
        cluster=home.cluster,
        service_account=q(identity, namespace, entry.service_account) if entry.service_account else "",
        locality=locality,
        network=network,
        owner=name,
        ports=tuple((port, number, "TCP") for port, number in sorted(entry.ports.items())),
        weight=entry.weight or 1,
        # Who has an identity is taken to have a proxy that shows it.
        tls_mode=labels.get(_TLS_MODE, MUTUAL if entry.service_account else ""),
    )


@query
def chosen_pods(q: Asking, namespace: str, selector: Pairs) -> tuple[Workload, ...]:
    """Return the Pods of a namespace that a selector (not empty) picks, sorted by name."""
    keys = q.keys(PODS_BY_LABEL, (namespace, *selector[0]))
    return _matching([q(pod_workload, namespace, str(key[1])) for key in keys], selector)


def chosen_entries(q: Asking, namespace: str, selector: Pairs) -> tuple[Workload, ...]:
    """Return the WorkloadEntries of a namespace that a selector (not empty) picks, sorted by name."""
    return q(_entries_picked, namespace, selector) if q(_has_entries, namespace) else ()


@query
def _has_entries(q: Asking, namespace: str) -> bool:
    # Most namespaces have none: one answer for all their services, instead of one for each.
    return bool(q.keys(ENTRIES_BY_NAMESPACE, namespace))


@query
def _entries_picked(q: Asking, namespace: str, selector: Pairs) -> tuple[Workload, ...]:
    keys = q.keys(ENTRIES_BY_LABEL, (namespace, *selector[0]))
    return _matching([q(entry_workload, namespace, str(key[1])) for key in keys], selector)


@query
def identity(q: Asking, namespace: str, account: str) -> str:
    """Return the SPIFFE identity of a service account."""
    return f"spiffe://{q(trust_domain)}/ns/{namespace}/sa/{account}"


@query
def node_locality(q: Asking, name: str) -> Locality:
    """Return where a Node stands, all empty if it is not known."""
    node = q.get(NODES, "", name) if name else None
    if node is None:
        return Locality()
    labels = node.meta.labels
    return Locality(
        labels.get(_REGION) or labels.get("failure-domain.beta.kubernetes.io/region", ""),
        labels.get(_ZONE) or labels.get("failure-domain.beta.kubernetes.io/zone", ""),
        labels.get(_SUBZONE, ""),
    )


def augmented(labels: Mapping[str, str], locality: Locality, *, network: str, cluster: str, node: str = "") -> Pairs:
    """Return labels with those added that say where the workload runs, sorted; selectors may use them."""
    where = {
        _REGION: locality.region,
        _ZONE: locality.zone,
        _SUBZONE: locality.subzone,
        "topology.istio.io/cluster": cluster,
        "kubernetes.io/hostname": node,
    }
    known = {name: value for name, value in where.items() if value}
    if network and not labels.get(NETWORK):
        known[NETWORK] = network
    return tuple(sorted({**labels, **known}.items()))


def selects(selector: Pairs, labels: Iterable[tuple[str, str]]) -> bool:
    """Tell whether labels have all that a selector asks for; an empty one asks for nothing."""
    return set(selector) <= set(labels)


def _matching(found: list[Workload | None], selector: Pairs) -> tuple[Workload, ...]:
    return tuple(workload for workload in found if workload and selects(selector, workload.labels))


def _addresses(pod: Pod) -> tuple[str, ...]:
    status = pod.status
    return tuple(ip.ip for ip in status.pod_ips if ip.ip) or ((status.pod_ip,) if status.pod_ip else ())


def _ready(pod: Pod) -> bool:
    """Return whether a Pod takes traffic; one without conditions (nobody wrote any) does while it runs."""
    said = [condition.status for condition in pod.status.conditions if condition.type == "Ready"]
    return said[0] == "True" if said else pod.status.phase in {"", "Running"}


def labelled_locality(labels: Mapping[str, str]) -> Locality | None:
    """Return the locality that a workload's own label claims, or None."""
    text = labels.get("topology.istio.io/locality") or labels.get("istio-locality", "")
    # A label's value can have no slashes, so dots part it.
    return _locality(text if "/" in text else text.replace(".", "/"))


def _locality(text: str) -> Locality | None:
    return Locality(*[*text.split("/"), "", ""][:3]) if text else None


def _owner(pod: Resource[Pod]) -> str:
    """Return the name of what made a Pod: the Deployment behind a ReplicaSet, the CronJob behind a Job."""
    owner = next((owner for owner in pod.meta.owners if owner.controller), None)
    if owner is None:
        return pod.meta.name
    if owner.kind == "ReplicaSet":
        template = pod.meta.labels.get("pod-template-hash", "")
        return owner.name.removesuffix(f"-{template}") if template else owner.name
    if owner.kind == "Job":
        return _SCHEDULED.sub("", owner.name)
    return owner.name
