"""MeshNetworks: the networks of a mesh and the gateways between them.

Source: istio/api mesh/v1alpha1/network.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotpy.model.message import Choice, Message, UInt32
from pilotpy.model.resource import Ref

MESH_NETWORKS: Final = Ref("MeshNetworks", "istio-system", "meshnetworks")  # as istioctl calls them


class Network(Message, frozen=True):
    """Which endpoints are in a network and how it is reached from others."""

    endpoints: tuple[NetworkEndpoints, ...] = ()  # required
    gateways: tuple[IstioNetworkGateway, ...] = ()  # required


class NetworkEndpoints(Choice, frozen=True):
    """Endpoints by address range or registry."""

    exclusive = (("from_cidr", "from_registry"),)

    from_cidr: str | None = None
    from_registry: str | None = None


class IstioNetworkGateway(Choice, frozen=True):
    """A way into the network."""

    exclusive = (("registry_service_name", "address"),)

    registry_service_name: str | None = None
    address: str | None = None
    port: UInt32 = 0  # required
    locality: str = ""


class MeshNetworks(Message, frozen=True):
    """Networks by name."""

    networks: Mapping[str, Network] = {}  # required
