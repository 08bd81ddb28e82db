"""InferencePool: Pods that serve a model, of which somebody picks one for each request.

Source: kubernetes-sigs/gateway-api-inference-extension api/v1/inferencepool_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_names import Group, Kind, LabelValue, ObjectName, PortNumber
from pilotpy.model.message import Declared


class PoolSelector(Declared, frozen=True):
    """Pods of the same namespace, by their labels."""

    match_labels: Annotated[Mapping[str, LabelValue], Meta(min_length=1, max_length=64)]


class Port(Declared, frozen=True):
    """A port."""

    number: PortNumber


class EndpointPickerRef(Declared, frozen=True):
    """Who picks an endpoint: a Service of the same namespace, unless it says otherwise."""

    name: ObjectName
    group: Group = ""
    kind: Kind = "Service"
    port: Port | None = None  # needed for a Service
    failure_mode: Literal["FailOpen", "FailClose"] = "FailClose"  # while it does not answer


class InferencePool(Declared, frozen=True):
    """Pods, and who picks one of them."""

    selector: PoolSelector
    target_ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)]
    app_protocol: Literal["http", "kubernetes.io/h2c"] = "http"
    endpoint_picker_ref: EndpointPickerRef | None = None
