"""Trust domains as policies name them: a mesh may have had other names before, and certificates under them last.

From a principal to the same principal under each name that the mesh goes by. Follows
``pilot/pkg/security/trustdomain/bundle.go``.
"""

from __future__ import annotations

from collections.abc import Iterable

_OLD_DEFAULT = "cluster.local"  # means the mesh, whatever its name is now


def principals_in(domains: tuple[str, ...], principals: Iterable[str]) -> tuple[str, ...]:
    """Return principals, those of the mesh under each of its names; ``domains``: its own, then aliases."""
    return tuple(one for principal in principals for one in _in_each(domains, principal))


def domains_in(domains: tuple[str, ...], named: Iterable[str]) -> tuple[str, ...]:
    """Return trust domains, one of the mesh's standing for all of them; each once."""
    return tuple(dict.fromkeys(one for name in named for one in (domains if name in domains else (name,))))


def strange_domain(domains: Iterable[str], principal: str) -> str:
    """Return the trust domain of a principal if it is none of ``domains``; "" for those and for patterns."""
    domain = _domain(principal)
    return "" if "*" in domain or domain == _OLD_DEFAULT or domain in domains else domain


def _in_each(domains: tuple[str, ...], principal: str) -> tuple[str, ...]:
    domain = _domain(principal)
    if not domain or domain == "*" or not (domain == _OLD_DEFAULT or any(_alike(domain, one) for one in domains)):
        return (principal,)
    rest = principal.removeprefix(domain)
    # A leading star covers a name as it stands.
    under = (principal if domain[0] == "*" and one.endswith(domain[1:]) else one + rest for one in domains)
    return tuple(dict.fromkeys(under))


def _domain(principal: str) -> str:
    """Return the trust domain of DOMAIN/ns/NAMESPACE/sa/ACCOUNT, "" of anything else."""
    parts = principal.split("/")
    return parts[0] if len(parts) == 5 else ""


def _alike(pattern: str, domain: str) -> bool:
    if pattern.startswith("*"):
        return domain.endswith(pattern[1:])
    if pattern.endswith("*"):
        return domain.startswith(pattern[:-1])
    return pattern == domain
