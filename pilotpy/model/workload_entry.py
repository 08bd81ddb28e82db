"""WorkloadEntry: one workload outside the platform, such as a virtual machine.

Source: istio/api networking/v1alpha3/workload_entry.proto.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.model.message import Message, Part, UInt32


class WorkloadEntry(Message, frozen=True):
    """The address of a workload and what is known of it."""

    address: str = ""  # an IP, a host name, or "unix:///path"
    ports: Mapping[str, UInt32] = {}  # by port name
    labels: Mapping[str, str] = {}
    network: str = ""
    locality: str = ""  # "region/zone/subzone"
    weight: UInt32 = 0  # 0: 1
    service_account: str = ""


class RegisteredWorkload(WorkloadEntry, frozen=True):
    """WorkloadEntry, the object: the workload, and how it is."""

    status: WorkloadEntryStatus | None = None  # stands beside the spec in the object


class WorkloadEntryStatus(Part, frozen=True):
    """What is known of the workload now."""

    conditions: tuple[WorkloadCondition, ...] = ()


class WorkloadCondition(Part, frozen=True):
    """One thing that is or is not so, such as "Healthy"."""

    type: str = ""
    status: str = ""  # "True", "False", "Unknown"
