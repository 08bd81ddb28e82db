"""ServiceEntry: a service that the platform's own registry does not know.

Source: istio/api networking/v1alpha3/service_entry.proto.
"""

from __future__ import annotations

from typing import Literal

from pilotpy.model.message import Message, Part, UInt32
from pilotpy.model.sidecar import WorkloadSelector
from pilotpy.model.workload_entry import WorkloadEntry

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]


class ServiceEntry(Message, frozen=True):
    """Hosts, how they are found, and who they are."""

    hosts: tuple[str, ...] = ()  # required
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: Resolution = "NONE"
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()  # empty: the mesh default; names, ".", "*", "~"
    subject_alt_names: tuple[str, ...] = ()
    status: ServiceEntryStatus | None = None  # stands beside the spec in the object


class ServicePort(Message, frozen=True):
    """A port of a ServiceEntry."""

    number: UInt32 = 0  # required
    protocol: str = ""
    name: str = ""  # required
    target_port: UInt32 = 0  # 0: number


class ServiceEntryStatus(Part, frozen=True):
    """What the control plane wrote back."""

    addresses: tuple[ServiceEntryAddress, ...] = ()


class ServiceEntryAddress(Part, frozen=True):
    """An address that was allocated to a host."""

    value: str = ""
    host: str = ""
