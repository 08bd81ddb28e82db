"""From a service to the domains by which its virtual host is found.

Short names depend on where the client lives: "reviews" means a service of its own namespace.
Source: istiod's ``generateVirtualHostDomains`` in ``pilot/pkg/networking/core/httproute.go``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pilotpy.mesh.hosts import is_address, kubernetes_name
from pilotpy.mesh.service import Registry, Resolution, Service, ServiceKey


class Called(NamedTuple):
    """How a client calls services, cut down to what can matter for one of them or for those of a part."""

    near: str = ""  # the client's namespace where that shortens a name, else ""
    withheld: tuple[tuple[ServiceKey, str], ...] = ()  # domains that somebody else has, sorted
    proxied: bool = False  # the client is a user of the explicit HTTP proxy, which says the port too
    cluster: str = ""  # the client's, as its scope's

    def domains(self, found: Service, aliases: tuple[str, ...], port: int) -> tuple[str, ...]:
        """The domains of a service, in lower case, unique, the service's host first; empty if others have them all."""
        names = [name for host in (found.key.host, *aliases) for name in names_of(host.lower(), self.near)]
        if found.registry is Registry.KUBERNETES and found.resolution is Resolution.PASSTHROUGH:
            names += [f"*.{name}" for name in names]  # the pods of a headless service have names below its own
        domains = tuple(dict.fromkeys((*names, *address_domains(found))))
        if self.withheld:
            domains = tuple(domain for domain in domains if (found.key, domain) not in self.withheld)
        if not self.proxied:
            return domains
        numbered = tuple(f"{domain}:{port}" for domain in domains)
        return (*domains, *numbered) if port == 80 else numbered  # 80 need not be said


def address_domains(found: Service) -> Iterator[str]:
    """The addresses of a service as they stand in a request's authority. A range of addresses is none."""
    for address in found.addresses:
        if is_address(address):
            yield authority(address)


def names_of(host: str, near: str) -> tuple[str, ...]:
    """The names of a host: itself, and for one of the cluster its absolute and its short forms."""
    name = kubernetes_name(host)
    if name is None:
        return (host,)
    short = f"{name.name}.{name.namespace}"
    if name.namespace == near:
        return (host, f"{host}.", name.name, f"{short}.svc", short)
    return (host, f"{host}.", short, f"{short}.svc")


def authority(host: str) -> str:
    """A host as it stands in a request's authority: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
