"""Metadata as Istio's filters and dashboards read it, in wire format.

Written like endpoints are: every cluster and endpoint carries some. Source: Envoy's ``base.proto``, message Metadata;
protobuf's ``struct.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotpy.compile.wire import delimited, integer
from pilotpy.mesh.service import Service
from pilotpy.model.resource import Ref

Value = str | bool | Sequence["Value"] | Mapping[str, "Value"]

ISTIO = "istio"

_KEBAB = {"DestinationRule": "destination-rule", "Sidecar": "sidecar", "VirtualService": "virtual-service"}


def filter_metadata(filter_name: str, fields: Mapping[str, Value]) -> bytes:
    """A Metadata with one filter's fields, in the order given. Two of them concatenate, if their filters differ."""
    return delimited(1, delimited(1, filter_name.encode()) + delimited(2, _struct(fields)))


def config_path(ref: Ref) -> str:
    """The API path of the object that a resource comes from, by which Istio's tools name it."""
    return f"/apis/networking.istio.io/v1/namespaces/{ref.namespace}/{_KEBAB[ref.kind]}/{ref.name}"


def service_fields(service: Service) -> Mapping[str, Value]:
    """Which service a cluster is for."""
    return {"host": service.key.host, "name": service.name, "namespace": service.key.namespace}


def _struct(fields: Mapping[str, Value]) -> bytes:
    return b"".join(
        [delimited(1, delimited(1, key.encode()) + delimited(2, _value(value))) for key, value in fields.items()]
    )


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return delimited(3, value.encode())
    if isinstance(value, bool):
        # A oneof is set even to its default, so that a false one is written too.
        return integer(4, value) or b"\x20\x00"
    if isinstance(value, Mapping):
        return delimited(5, _struct(value))
    return delimited(6, b"".join([delimited(1, _value(each)) for each in value]))
