"""GatewayClass: who implements Gateways of a class. Objects of the cluster, without a namespace.

Source: kubernetes-sigs/gateway-api apis/v1/gatewayclass_types.go.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pilotpy.model.gateway_api_names import Group, Kind, Namespace, ObjectName
from pilotpy.model.message import Declared

Controller = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
        r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+\Z",
        description="a domain and a path, such as istio.io/gateway-controller",
    ),
]


class GatewayClass(Declared, frozen=True):
    """A class of Gateways."""

    controller_name: Controller
    parameters_ref: ParametersReference | None = None
    description: Annotated[str, Meta(max_length=64)] = ""


class ParametersReference(Declared, frozen=True):
    """Settings of a class, in a form that its controller knows."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: Namespace = ""  # "": an object of the cluster
