"""From encoded resources to plain data for people: proto field names, every ``Any`` opened.

Follows protobuf's JSON mapping (protobuf.dev, "ProtoJSON Format") with the field names of the .proto files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from pilotpy.compile.encoded import Encoded
from pilotpy_protos.descriptors import message_class, pool

_PREFIX: Final = "type.googleapis.com/"


def opened(type_url: str, resource: Encoded) -> dict[str, Any]:
    """Return one resource as plain data; fields with default values are left out."""
    return plain(message(type_url, resource))


def message(type_url: str, resource: Encoded) -> Message:
    """Return one resource as its protobuf message. Raises ``LookupError`` for a type that the API does not have."""
    of_type = message_class(type_url.removeprefix(_PREFIX))
    if of_type is None:
        raise LookupError(f"{type_url} is no type of Envoy's or Istio's API")
    return of_type.FromString(bytes(resource))


def plain(message: Message) -> dict[str, Any]:
    """Return any message of the API as plain data."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())
    # A Struct inside an Any comes as an OrderedDict, which writers of YAML do not take for plain data.
    plainly: dict[str, Any] = msgspec.to_builtins(found)
    return plainly


def in_camel_case(type_name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return plain data of a message with the field names of protobuf's JSON mapping, as istioctl prints it.

    Itself where it holds a type that the API does not have, as those that only Istio's Envoy knows.
    """
    of_type = message_class(type_name)
    if of_type is None:
        return found
    said = {key: value for key, value in found.items() if key != "@type"}
    try:
        parsed = ParseDict(said, of_type(), descriptor_pool=pool())
        named: dict[str, Any] = msgspec.to_builtins(MessageToDict(parsed, descriptor_pool=pool()))
    except (ParseError, TypeError):
        return found
    return named


def name_of(resource: dict[str, Any]) -> str:
    """Return what a resource is called: a cluster's assignment bears the cluster's name, a name table none."""
    return str(resource.get("name") or resource.get("cluster_name") or "")
