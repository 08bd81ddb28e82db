"""From the control plane's table of names to what a pod's questions for a name are answered with.

Pure. Names are lower case and end without a dot. The table has full host names only; what a Kubernetes client may
say for short, and what its resolver makes of a name by its search list, is derived here.

Source  istio/istio ``pkg/dns/client/dns.go`` (aliases, search, wildcards), ``pkg/dns/proto/nds.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec

from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

_KUBERNETES: Final = "Kubernetes"
_CLUSTER_SET: Final = ".clusterset.local"


class Found(NamedTuple):
    """A name that the mesh knows."""

    name: str  # the one that has the addresses; another than was asked for where the resolver's search list was cut off
    addresses: tuple[str, ...]  # of the family asked for, in the table's order; may be empty


class NameBook(msgspec.Struct, frozen=True):
    """All names of one table, as one pod may say them."""

    addresses: Mapping[str, tuple[str, ...]]  # of both families, by name; wildcards as "*.rest"
    search: str = ""  # what the pod's resolver appends first to names that may be short; empty: nothing

    def find(self, name: str, *, version: int) -> Found | None:
        """What is known of a name, with addresses of IP version 4 or 6; None if nothing is."""
        name = name.lower().removesuffix(".")
        ending = f".{self.search}"
        for said in (name, name.removesuffix(ending)) if self.search and name.endswith(ending) else (name,):
            for known in _ways(said):
                held = self.addresses.get(known)
                if held is not None:
                    return Found(said, tuple(one for one in held if ip_address(one).version == version))
        return None


def name_book(table: NameTable, namespace: str, search: str = "") -> NameBook:
    """The book for a pod of a namespace whose resolver searches ``search`` first."""
    short: dict[str, tuple[str, ...]] = {}
    full: dict[str, tuple[str, ...]] = {}
    for host, info in table.table.items():
        addresses = tuple(filter(_is_address, info.ips))
        for name in _aliases(host, info, namespace):
            short[name] = addresses
        full[host.lower().removesuffix(".")] = addresses
    # A host that somebody calls as another one is called for short is still itself.
    return NameBook(short | full, search.lower().strip("."))


def _aliases(host: str, info: NameTable.NameInfo, namespace: str) -> Iterator[str]:
    if info.registry != _KUBERNETES or not info.shortname or host.endswith(_CLUSTER_SET):
        return
    name = info.shortname.lower()
    if info.namespace == namespace:
        yield name
    yield f"{name}.{info.namespace}"
    yield f"{name}.{info.namespace}.svc"


def _ways(name: str) -> Iterator[str]:
    """The name, then the wildcards that cover it, the narrowest first."""
    yield name
    _, dot, rest = name.partition(".")
    while dot:
        yield f"*.{rest}"
        _, dot, rest = rest.partition(".")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
