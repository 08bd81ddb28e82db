"""Who may answer for a service, and whose word counts: SPIFFE identities and the trust domains of the mesh.

From the service accounts of endpoints, and those that a service names itself, to the names that clients accept in its
certificate. Follows ``initServiceAccounts`` of istiod's push context and ``pkg/spiffe/spiffe.go``.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import service

SPIFFE = "spiffe://"


@query
def trust_domains(q: Asking) -> tuple[str, ...]:
    """Return the trust domains whose identities are accepted: the mesh's own, then others as written; no repeats."""
    mesh = q(mesh_config)
    others = (domain for one in mesh.ca_certificates for domain in one.trust_domains)
    return tuple(dict.fromkeys((mesh.trust_domain, *mesh.trust_domain_aliases, *others)))


@query
def trust_domain_aliases(q: Asking) -> tuple[str, ...]:
    """Return the trust domains that stand for any other in an identity; may be empty."""
    return q(mesh_config).trust_domain_aliases


@query
def identities(q: Asking, key: ServiceKey) -> tuple[str, ...]:
    """Return the names that servers of a service may show, sorted; empty: nothing is known of them.

    SPIFFE identities of all endpoints, each also in the mesh's other trust domains, and what the service's object says.
    """
    found = q(service, key)
    if found is None:
        return ()
    names = set(found.service_accounts)
    for port in found.ports:
        names |= {one.service_account for one in q(endpoints, key, port.name) if one.service_account}
    return tuple(sorted(_expanded(names, q(trust_domain_aliases))))


def trust_domain_of(identity: str) -> str:
    """Return the trust domain of a SPIFFE identity, "" for any other name."""
    domain, slash, _ = identity.removeprefix(SPIFFE).partition("/")
    return domain if identity.startswith(SPIFFE) and slash else ""


def _expanded(names: Iterable[str], aliases: tuple[str, ...]) -> set[str]:
    found = set(names)
    for name in tuple(found):
        domain = trust_domain_of(name)
        if domain:
            found |= {f"{SPIFFE}{alias}{name.removeprefix(SPIFFE + domain)}" for alias in aliases}
    return found
