"""From types of `model` to structural schemas, as definitions have them.

They say what the types say, names and forms and ranges; what only holds between fields is left to admission.

Source  kubernetes apiextensions/v1 (JSONSchemaProps).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import inspect

from pilotpy.model.message import Declared, Duration, Part, ShortDuration
from pilotpy.schema.durations import SHORT
from pilotpy.schema.kinds import SCHEMAS
from pilotpy.schema.written import written

Structure = dict[str, Any]

OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""Anything."""

_EXACT: Final = 2**53  # integers above have no exact bound in a schema, whose numbers are floating


def structural(spec: type[msgspec.Struct]) -> Structure:
    """The schema of a type, that of each field below it."""
    return _schema(inspect.type_info(spec))


def _schema(of: inspect.Type) -> Structure:
    match of:
        case inspect.StructType():
            return _struct(of)
        case inspect.UnionType():
            return _union(of)
        case inspect.Metadata():
            return _schema(of.type) | (of.extra_json_schema or {})
        case inspect.VarTupleType():
            return {"type": "array", "items": _schema(of.item_type), **_bounds(of, "Items")}
        case inspect.DictType(value_type=inspect.AnyType()):
            return dict(OPEN)
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _schema(of.value_type), **_bounds(of, "Properties")}
    return _scalar(of)


def _scalar(of: inspect.Type) -> Structure:
    match of:
        case inspect.LiteralType():
            whole = isinstance(of.values[0], int)
            return {"type": "integer" if whole else "string", "enum": list(of.values)}
        case inspect.CustomType(cls=cls) if cls is ShortDuration:
            return {"type": "string", "pattern": SHORT}
        case inspect.CustomType(cls=cls) if cls is Duration:
            return {"type": "string"}
        case inspect.IntType():
            return _integer(of)
        case inspect.StrType():
            return _text(of)
        case inspect.BytesType():
            return {"type": "string", "format": "byte"}
    return {"type": _PLAIN[type(of)]}


_PLAIN: Final[dict[type[inspect.Type], str]] = {
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
}


def _struct(of: inspect.StructType) -> Structure:
    found: Structure = {
        "type": "object",
        "description": (of.cls.__doc__ or "").partition("\n")[0],
        "properties": {
            field.encode_name: _schema(field.type) for field in of.fields if not _beside(of.cls, field.name)
        },
    }
    if issubclass(of.cls, Declared):
        _declare(found, of)
    if issubclass(of.cls, Part):
        found["x-kubernetes-preserve-unknown-fields"] = True
    return found


def _declare(found: Structure, of: inspect.StructType) -> None:
    """Add which fields are required, and what others say where nothing is written."""
    if required := [field.encode_name for field in of.fields if field.required]:
        found["required"] = required
    for field in of.fields:
        if field.default is not msgspec.NODEFAULT and (default := _said(written(field.default, defaults=True))):
            found["properties"][field.encode_name]["default"] = default


def _said(value: Any) -> Any:
    """A value without the fields that say nothing."""
    if isinstance(value, dict):
        return {key: said for key, one in value.items() if (said := _said(one)) or one is False}
    return [_said(one) for one in value] if isinstance(value, list) else value


def _text(of: inspect.StrType) -> Structure:
    found: Structure = {"type": "string", **_bounds(of, "Length")}
    if of.pattern is not None:
        found["pattern"] = of.pattern.replace(r"\Z", "$")
    return found


def _bounds(of: inspect.StrType | inspect.VarTupleType | inspect.DictType, what: str) -> Structure:
    """How many there may be; `what`: in the words of schemas."""
    bounds = {f"min{what}": of.min_length, f"max{what}": of.max_length}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _beside(spec: type, field: str) -> bool:
    """Whether a field is read with the spec, and written beside it."""
    return field == "status" and spec in _STATUSED


_STATUSED: Final = {one.spec for one in SCHEMAS.values() if one.status}


def _union(of: inspect.UnionType) -> Structure:
    """One type or null, which API servers take for absent; or a number and text, as ports are."""
    types = [one for one in of.types if not isinstance(one, inspect.NoneType)]
    if len(types) == 1:
        return _schema(types[0])
    assert {type(one) for one in types} == {inspect.IntType, inspect.StrType}, of
    return {"x-kubernetes-int-or-string": True}


def _integer(of: inspect.IntType) -> Structure:
    found: Structure = {"type": "integer"}
    if of.ge is not None and of.ge > -_EXACT:
        found["minimum"] = of.ge
    if of.le is not None and of.le < _EXACT:
        found["maximum"] = of.le
    else:
        found["format"] = "int64"
    return found
