"""Definitions of the kinds of Istio and the Gateway API: from the types of `model` to CustomResourceDefinitions.

A cluster that has the original ones keeps them: these are created, never put in place of others.

Source  kubernetes apiextensions/v1 (JSONSchemaProps); short names and categories as in manifests/charts/base of Istio
and config/crd of kubernetes-sigs/gateway-api.
"""

from __future__ import annotations

from typing import Any, Final

from pilotpy.kube.structural import OPEN, structural
from pilotpy.model.message import Declared
from pilotpy.schema.kinds import SCHEMAS, Schema
from pilotpy.sources.kubernetes.collection import COLLECTIONS, Collection

Definition = dict[str, Any]

_SHORT: Final = {
    "VirtualService": "vs",
    "DestinationRule": "dr",
    "Gateway": "gw",
    "ServiceEntry": "se",
    "WorkloadEntry": "we",
    "WorkloadGroup": "wg",
    "PeerAuthentication": "pa",
    "RequestAuthentication": "ra",
    "AuthorizationPolicy": "ap",
    "Telemetry": "telemetry",
    "GatewayClass": "gc",
    "KubernetesGateway": "gtw",
    "ListenerSet": "lset",
    "ReferenceGrant": "refgrant",
    "BackendTLSPolicy": "btlspolicy",
    "InferencePool": "infpool",
}
_UNAPPROVED: Final = {"api-approved.kubernetes.io": "unapproved, made by pilotpy from what it reads of the API"}


def definitions() -> list[Definition]:
    """All of them, sorted by name."""
    known = [(one, SCHEMAS.get((one.group, one.kind))) for one in COLLECTIONS if one.defined]
    found = [_definition(one, schema) for one, schema in known if schema is not None]
    return sorted(found, key=lambda one: str(one["metadata"]["name"]))


def _definition(collection: Collection, schema: Schema) -> Definition:
    kind, plural = collection.kind, collection.plural
    names: Definition = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "categories": _categories(collection.group),
    }
    if collection.called in _SHORT:
        names["shortNames"] = [_SHORT[collection.called]]
    metadata: Definition = {"name": collection.name, "labels": {"app.kubernetes.io/part-of": "pilotpy"}}
    if collection.group.endswith(".k8s.io"):  # API servers ask for a word on it where a group ends in k8s.io
        metadata["annotations"] = dict(_UNAPPROVED)
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == collection.versions[0],
            "schema": {"openAPIV3Schema": _object(schema)},
            "subresources": {"status": {}},
        }
        for version in collection.versions
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": collection.group,
            "scope": "Namespaced" if schema.namespaced else "Cluster",
            "names": names,
            "versions": versions,
        },
    }


def _categories(group: str) -> list[str]:
    return ["istio-io", group.replace(".", "-")] if group.endswith(".istio.io") else ["gateway-api"]


def _object(schema: Schema) -> Definition:
    spec = structural(schema.spec)
    found: Definition = {"type": "object", "properties": {"spec": spec, "status": dict(OPEN)}}
    return found | {"required": ["spec"]} if issubclass(schema.spec, Declared) else found
