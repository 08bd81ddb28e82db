"""From a typed resource back to the object that somebody may have written: what `decode` reads gives the same resource.

Not the same text: fields that say what is so anyway are left out, durations are in seconds as ProtoJSON has them
(protobuf.dev/programming-guides/json).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from pilotpy.model.message import ShortDuration
from pilotpy.model.resource import Meta, Resource
from pilotpy.schema.durations import written_short
from pilotpy.schema.kinds import SCHEMAS, Place, Schema, kind_of

_MILLION: Final = 1_000_000


def written_object(resource: Resource[Any], group: str) -> dict[str, Any]:
    """Return the object: apiVersion, kind, metadata, and what its kind has. Raises ``KeyError`` for an unknown kind."""
    schema = SCHEMAS[group, kind_of(resource.ref)]
    spec = written(resource.spec)
    top: dict[str, Any] = {"apiVersion": api_version(schema), "kind": schema.kind, "metadata": _metadata(resource.meta)}
    if schema.place is Place.BESIDE:
        return {**top, **spec}
    status = {"status": spec.pop("status")} if schema.status and "status" in spec else {}
    return {**top, "spec": spec, **status}


def api_version(schema: Schema) -> str:
    """Return the apiVersion in which a kind is written: the stable one if it has one."""
    version = "v1" if "v1" in schema.versions else max(schema.versions)
    return f"{schema.group}/{version}" if schema.group else version


def written(value: Any, *, defaults: bool = False) -> Any:
    """Return a value of the model as plain data. ``defaults``: with the fields that say what is so anyway."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: written(said, defaults=defaults)
            for field in msgspec.structs.fields(value)
            if (said := getattr(value, field.name)) is not None and (defaults or not _is_default(field, said))
        }
    if isinstance(value, Mapping):
        return {key: written(inner, defaults=defaults) for key, inner in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [written(item, defaults=defaults) for item in value]
    if isinstance(value, ShortDuration):
        return written_short(value)
    if isinstance(value, timedelta):
        return _seconds(value)
    return value.value if isinstance(value, Enum) else value


def _is_default(field: msgspec.structs.FieldInfo, value: Any) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return bool(field.default is not msgspec.NODEFAULT and value == field.default)


def _seconds(span: timedelta) -> str:
    number = Decimal(span // timedelta(microseconds=1)) / _MILLION
    return f"{number.normalize():f}s"


def _metadata(meta: Meta) -> dict[str, Any]:
    said = {
        "name": meta.name,
        "namespace": meta.namespace,
        "generateName": meta.generate_name,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "creationTimestamp": _moment(meta.created),
        "deletionTimestamp": _moment(meta.deleted),
        "ownerReferences": [written(owner) for owner in meta.owners],
    }
    return {key: value for key, value in said.items() if value}


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
