"""How policies name what they apply to.

Source: istio/api type/v1beta1/selector.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.message import Message, UInt32

WorkloadMode = Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]


class WorkloadSelector(Message, frozen=True):
    """Workloads by their labels; no labels select all."""

    match_labels: Mapping[str, str] = {}


class PortSelector(Message, frozen=True):
    """A port of a service, by number."""

    number: UInt32 = 0  # required


class PolicyTargetReference(Message, frozen=True):
    """An object, by kind and name, that a policy is attached to."""

    group: str = ""
    kind: str = ""  # required
    name: str = ""  # required
    namespace: str = ""
