"""How objects of the Gateway API name one another, and what they are attached to and send to.

Source: kubernetes-sigs/gateway-api apis/v1/object_reference_types.go, policy_types.go and shared_types.go.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pilotpy.model.gateway_api_names import Group, Kind, Namespace, ObjectName, PortNumber, SectionName, Weight
from pilotpy.model.message import Declared

GROUP = "gateway.networking.k8s.io"


class LocalObjectReference(Declared, frozen=True):
    """An object of the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class ObjectReference(Declared, frozen=True):
    """An object of any namespace; of another one only if a ReferenceGrant there permits it."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: Namespace = ""  # "": the same


class SecretObjectReference(Declared, frozen=True):
    """A Secret, unless it says otherwise; of another namespace only if a ReferenceGrant there permits it."""

    name: ObjectName
    group: Group = ""
    kind: Kind = "Secret"
    namespace: Namespace = ""  # "": the same


class LocalPolicyTargetReference(Declared, frozen=True):
    """What a policy is for, in its namespace: an object, or a section of it such as a port of a Service."""

    group: Group
    kind: Kind
    name: ObjectName
    section_name: SectionName = ""  # "": all of it


class ParentReference(Declared, frozen=True):
    """What a route is attached to: a Gateway, a ListenerSet or a Service, or part of one."""

    name: ObjectName
    group: Group = GROUP
    kind: Kind = "Gateway"
    namespace: Namespace = ""  # "": the same
    section_name: SectionName = ""  # a listener; "": all
    port: PortNumber | None = None  # of listeners, or of the Service; None: all


class BackendObjectReference(Declared, frozen=True):
    """Where traffic goes: a port of a Service, unless it says otherwise."""

    name: ObjectName
    group: Group = ""
    kind: Kind = "Service"
    namespace: Namespace = ""  # "": the same
    port: PortNumber | None = None  # needed for a Service


class BackendRef(BackendObjectReference, frozen=True):
    """One of the weighted destinations of a rule."""

    weight: Weight = 1  # in proportion to the sum of a rule's weights


ParentReferences = Annotated[tuple[ParentReference, ...], Meta(max_length=32)]
BackendRefs = Annotated[tuple[BackendRef, ...], Meta(min_length=1, max_length=16)]
