"""ReferenceGrant: who of other namespaces may name objects of this one.

Source: kubernetes-sigs/gateway-api apis/v1/referencegrant_types.go.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pilotpy.model.gateway_api_names import Group, Kind, Namespace, ObjectName
from pilotpy.model.message import Declared


class ReferenceGrantFrom(Declared, frozen=True):
    """Objects of a kind in a namespace."""

    group: Group
    kind: Kind
    namespace: Namespace


class ReferenceGrantTo(Declared, frozen=True):
    """Objects of a kind in the grant's namespace."""

    group: Group
    kind: Kind
    name: ObjectName = ""  # "": all


class ReferenceGrant(Declared, frozen=True):
    """Each of `from` may name each of `to`."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], Meta(min_length=1, max_length=16)]
    to: Annotated[tuple[ReferenceGrantTo, ...], Meta(min_length=1, max_length=16)]
