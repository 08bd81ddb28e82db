"""The hosts of a Sidecar's egress listener: what a workload wants to see.

From texts such as ``./*``, ``prod/*.svc.cluster.local`` and ``*/api.example.com`` to what they
let in. Follows ``hosts`` of IstioEgressListener (``networking/v1alpha3/sidecar.proto``).
"""

from __future__ import annotations

from typing import NamedTuple

from pilotpy.mesh.hosts import is_wildcard, overlaps, within


class Import(NamedTuple):
    """One entry of a listener's hosts."""

    namespace: str  # "*": any
    host: str  # whole; may be a wildcard

    @property
    def is_wide(self) -> bool:
        """Lets in all that its namespace has."""
        return self.host == "*"


class Imports(NamedTuple):
    """What an egress listener lets in."""

    wanted: tuple[Import, ...]
    unwanted: tuple[Import, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return Import("*", "*") in self.wanted and not self.unwanted

    def lets_in(self, namespace: str, host: str) -> bool:
        """Tell whether a service of this namespace and host is let in."""
        if any(one.namespace in {"*", namespace} and within(host, one.host) for one in self.unwanted):
            return False
        return any(one.namespace in {"*", namespace} and within(host, one.host) for one in self.wanted)

    def lets_in_routes(self, namespace: str, hosts: tuple[str, ...]) -> bool:
        """Tell whether a VirtualService of this namespace is let in: one of its hosts overlaps an entry's."""
        return any(
            one.namespace in {"*", namespace} and any(overlaps(host, one.host) for host in hosts) for one in self.wanted
        )


EVERYTHING = Imports((Import("*", "*"),))


def imports(hosts: tuple[str, ...], namespace: str) -> Imports:
    """Return what a listener's hosts let in, seen from a namespace; sorted, so that their order is no matter.

    ``~/*`` lets in nothing. Entries that are not of the form namespace/host let in nothing either: validation
    has told their author.
    """
    wanted, unwanted = set(), set()
    for text in hosts:
        owner, slash, host = text.partition("/")
        if not slash or not host or ("*" in host and not is_wildcard(host)):
            continue
        host = host.lower()
        if owner.startswith("~"):
            if len(owner) > 1 or host != "*":
                unwanted.add(Import(_owner(owner[1:] or "*", namespace), host))
        else:
            wanted.add(Import(_owner(owner, namespace), host))
    return Imports(tuple(sorted(wanted)), tuple(sorted(unwanted)))


def _owner(text: str, namespace: str) -> str:
    return namespace if text == "." else text
