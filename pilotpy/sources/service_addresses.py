"""From a Service as written to one with the addresses that a cluster would have given it.

Services of type NodePort and LoadBalancer get a ClusterIP like all others; node ports and load
balancers are outside of the mesh. Source: kubernetes pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec.structs import replace

from pilotpy.model.kubernetes import KubeService
from pilotpy.model.resource import Ref, Resource
from pilotpy.sources.pool import Pool

_Family = Literal["IPv4", "IPv6"]

NETWORKS: Final[dict[_Family, str]] = {"IPv4": "10.96.0.0/16", "IPv6": "fd00:10:96::/112"}
_RESERVED = 256  # kubernetes.default, the DNS and the like live here, by custom


class ServiceAddresses:
    """The ClusterIPs of all Services."""

    def __init__(self) -> None:
        self._pools = {family: Pool(network, _RESERVED) for family, network in NETWORKS.items()}

    def keep(self, service: Resource[KubeService]) -> set[Ref]:
        """Note the addresses that a Service was given by hand. Returns the Services that must move out of them."""
        evicted = set()
        for family, pool in self._pools.items():
            given = next((address for address in _given(service.spec) if _family(address) == family), "")
            owner = pool.keep(_owner(service.ref), given)
            evicted |= {Ref("Service", *owner.split("/", 1))} if owner else set()
            if family not in families(service.spec) or not _wants_addresses(service.spec):
                pool.release(_owner(service.ref))
        return evicted

    def release(self, service: Ref) -> None:
        """Forget a Service."""
        for pool in self._pools.values():
            pool.release(_owner(service))

    def addressed(self, service: Resource[KubeService]) -> Resource[KubeService]:
        """The Service with an address of each of its families, the given ones first; "" if none was free."""
        spec = service.spec
        if not _wants_addresses(spec):
            return service
        kinds = families(spec)
        addresses = tuple(self._pools[family].address(_owner(service.ref)) for family in kinds)
        return replace(service, spec=replace(spec, cluster_ip=addresses[0], cluster_ips=addresses, ip_families=kinds))


def _wants_addresses(spec: KubeService) -> bool:
    return spec.type != "ExternalName" and "None" not in {spec.cluster_ip, *spec.cluster_ips}


def _given(spec: KubeService) -> tuple[str, ...]:
    every = dict.fromkeys((spec.cluster_ip, *spec.cluster_ips))
    return tuple(address for address in every if address not in {"", "None"})


def families(spec: KubeService) -> tuple[_Family, ...]:
    """Which kinds of address a Service has, the first one first: as it says, else as it was given, else IPv4."""
    kinds = spec.ip_families or tuple(dict.fromkeys(map(_family, _given(spec)))) or ("IPv4",)
    if spec.ip_family_policy == "RequireDualStack":
        kinds = (*kinds, *(family for family in NETWORKS if family not in kinds))
    return kinds


def _family(address: str) -> _Family:
    return "IPv6" if ":" in address else "IPv4"


def _owner(service: Ref) -> str:
    return f"{service.namespace}/{service.name}"
