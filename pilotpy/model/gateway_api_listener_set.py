"""ListenerSet: listeners that are added to somebody's Gateway.

Source: kubernetes-sigs/gateway-api apis/v1/listenerset_types.go.
"""

from __future__ import annotations

from pilotpy.model.gateway_api_listener import Listeners
from pilotpy.model.gateway_api_names import Group, Kind, Namespace, ObjectName
from pilotpy.model.gateway_api_references import GROUP
from pilotpy.model.message import Declared


class ParentGatewayReference(Declared, frozen=True):
    """The Gateway that listeners are added to."""

    name: ObjectName
    group: Group = GROUP
    kind: Kind = "Gateway"
    namespace: Namespace = ""  # "": the same


class ListenerSet(Declared, frozen=True):
    """Listeners beside those of a Gateway."""

    parent_ref: ParentGatewayReference
    listeners: Listeners
