"""Definitions of Istio's kinds for an API server: from the types of `model` to CustomResourceDefinitions.

Schemas are structural. They say what the types say, names and forms and ranges; what only holds between fields is left
to admission. A cluster that has Istio's own keeps them: these are created, never put in place of others.

Source  kubernetes apiextensions/v1 (JSONSchemaProps); short names and categories as in manifests/charts/base of Istio.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import inspect

from pilotpy.model.message import Duration, Part
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
}
_OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_EXACT: Final = 2**53  # integers above have no exact bound in a schema, whose numbers are floating


def definitions() -> list[Definition]:
    """All of them, sorted by name."""
    found = [_definition(one, SCHEMAS[one.group, one.kind]) for one in COLLECTIONS if one.defined]
    return sorted(found, key=lambda one: str(one["metadata"]["name"]))


def _definition(collection: Collection, schema: Schema) -> Definition:
    kind, plural = collection.kind, collection.plural
    names: Definition = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "categories": ["istio-io", collection.group.replace(".", "-")],
    }
    if kind in _SHORT:
        names["shortNames"] = [_SHORT[kind]]
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
        "metadata": {"name": collection.name, "labels": {"app.kubernetes.io/part-of": "pilotpy"}},
        "spec": {"group": collection.group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def _object(schema: Schema) -> Definition:
    spec = _schema(inspect.type_info(schema.spec))
    return {"type": "object", "properties": {"spec": spec, "status": _OPEN}}


def _schema(of: inspect.Type) -> Definition:
    """The schema of a type of the model."""
    match of:
        case inspect.StructType():
            return _struct(of)
        case inspect.UnionType():
            return _union(of)
        case inspect.VarTupleType():
            return {"type": "array", "items": _schema(of.item_type)}
        case inspect.DictType(value_type=inspect.AnyType()):
            return dict(_OPEN)
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _schema(of.value_type)}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(of.values)}
        case inspect.CustomType(cls=cls) if cls is Duration:
            return {"type": "string"}
        case inspect.IntType():
            return _integer(of)
        case inspect.BytesType():
            return {"type": "string", "format": "byte"}
    return {"type": _PLAIN[type(of)]}


_PLAIN: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
}


def _struct(of: inspect.StructType) -> Definition:
    found: Definition = {
        "type": "object",
        "description": (of.cls.__doc__ or "").partition("\n")[0],
        "properties": {
            field.encode_name: _schema(field.type) for field in of.fields if not _beside(of.cls, field.name)
        },
    }
    if issubclass(of.cls, Part):
        found["x-kubernetes-preserve-unknown-fields"] = True
    return found


def _beside(spec: type, field: str) -> bool:
    """Whether a field is read with the spec, and written beside it."""
    return field == "status" and spec in _STATUSED


_STATUSED: Final = {one.spec for one in SCHEMAS.values() if one.status}


def _union(of: inspect.UnionType) -> Definition:
    """One type or null, which API servers take for absent; or a number and text, as ports are."""
    types = [one for one in of.types if not isinstance(one, inspect.NoneType)]
    if len(types) == 1:
        return _schema(types[0])
    assert {type(one) for one in types} == {inspect.IntType, inspect.StrType}, of
    return {"x-kubernetes-int-or-string": True}


def _integer(of: inspect.IntType) -> Definition:
    found: Definition = {"type": "integer"}
    if of.ge is not None and of.ge > -_EXACT:
        found["minimum"] = of.ge
    if of.le is not None and of.le < _EXACT:
        found["maximum"] = of.le
    else:
        found["format"] = "int64"
    return found
