"""What the controllers of a lab read of an API server: objects as a mesh reads them, and as they were written.

A Pod is made from the template as written, not from what a mesh reads of it. Statuses are left out, as what the
controllers write there themselves would be news otherwise; whether something came to its end is all that is kept.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.schema.decode import decode_object
from pilotpy.sources.kubernetes.collection import COLLECTIONS, Collection, Reader
from pilotpy.sources.kubernetes.wire import Read

Object = dict[str, Any]

SYSTEM: Final = "istio-system"
"""The namespace of the control plane."""

WORKLOADS: Final = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"})


class Owner(msgspec.Struct, frozen=True):
    """The controller that an object names."""

    kind: str
    uid: str


class Held(msgspec.Struct, frozen=True):
    """An object as the API server has it. What is in it is never changed."""

    uid: str
    payload: Any  # as a mesh reads it
    spec: Object  # as written
    owner: Owner | None
    finalizers: tuple[str, ...]
    generation: int
    finished: bool  # it came to its end, and shall not begin again


def read_as(resource: Resource[Held]) -> Resource[Any]:
    """The object as a mesh reads it."""
    return Resource(resource.ref, resource.meta, resource.spec.payload)


def _reader(kind: str, api_version: str) -> Reader:
    def read(text: bytes | msgspec.Raw) -> Read:
        raw: Object = {"apiVersion": api_version, "kind": kind} | msgspec.json.decode(text)
        status = raw.pop("status", None) or {}
        metadata = raw["metadata"]
        resource, findings = decode_object(raw, namespace="")
        if resource is None:
            return Read(Ref(kind, metadata.get("namespace", ""), metadata["name"]), None, tuple(findings))
        held = Held(
            uid=metadata["uid"],
            payload=resource.spec,
            spec=raw.get("spec") or {},
            owner=_owner(metadata),
            finalizers=tuple(metadata.get("finalizers") or ()),
            generation=metadata.get("generation", 0),
            finished=_is_finished(status),
        )
        return Read(resource.ref, Resource(resource.ref, resource.meta, held))

    return read


def _config_map(text: bytes | msgspec.Raw) -> Read:
    resource, findings = decode_object({"apiVersion": "v1", "kind": "ConfigMap"} | msgspec.json.decode(text))
    return Read(resource.ref if resource else None, resource, tuple(findings))


def _owner(metadata: Object) -> Owner | None:
    for one in metadata.get("ownerReferences") or ():
        if one.get("controller"):
            return Owner(one["kind"], one["uid"])
    return None


def _is_finished(status: Object) -> bool:
    if status.get("phase") in {"Succeeded", "Failed"}:
        return True
    conditions = status.get("conditions") or ()
    return any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)


def _read(kind: str, group: str, plural: str) -> Collection:
    return Collection(kind, group, ("v1",), plural, _reader(kind, f"{group}/v1" if group else "v1"))


READ: Final = (
    _read("Namespace", "", "namespaces"),
    _read("Service", "", "services"),
    _read("ServiceAccount", "", "serviceaccounts"),
    _read("Pod", "", "pods"),
    _read("Deployment", "apps", "deployments"),
    _read("ReplicaSet", "apps", "replicasets"),
    _read("StatefulSet", "apps", "statefulsets"),
    _read("DaemonSet", "apps", "daemonsets"),
    _read("Job", "batch", "jobs"),
    # What the mesh is configured with, and the roots that its control plane writes.
    Collection("ConfigMap", "", ("v1",), "configmaps", _config_map, namespace=SYSTEM),
)
"""What is followed."""

_PLACES: Final = {one.called: one for one in (*READ, *COLLECTIONS)}


def api_version(kind: str) -> str:
    """Of a kind that is read or made here."""
    place = _PLACES[kind]
    return f"{place.group}/{place.versions[0]}" if place.group else place.versions[0]


def path_of(ref: Ref, subresource: str = "") -> str:
    """Where an object of a kind that is read or made here is found."""
    place = _PLACES[ref.kind]._replace(namespace=ref.namespace)
    return "/".join(filter(None, (place.path(place.versions[0]), ref.name, subresource)))


def metadata(meta: Meta) -> Object:
    """As it is written: who an object is."""
    labels, annotations = dict(meta.labels), dict(meta.annotations)
    where = {"namespace": meta.namespace} if meta.namespace else {}
    return {**where, "name": meta.name, "labels": labels, "annotations": annotations}
