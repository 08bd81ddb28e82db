"""Addresses for those who have none, out of one network.

An address follows from its owner's name, so that the same folder gives the same addresses on every
machine; who has one keeps it. Where two names meet, the later one goes to the next free address.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from ipaddress import ip_network


class Pool:
    """The addresses of a network from ``first`` on: given ones, and those assigned around them."""

    def __init__(self, network: str, first: int) -> None:
        self._network = ip_network(network)
        self._first = first
        self._size = min(self._network.num_addresses - 1, 2**32) - first  # the last one is for broadcasts
        self._assigned: dict[str, str] = {}  # owner -> address
        self._owner: dict[str, str] = {}  # address -> owner
        self._kept: dict[str, str] = {}  # owner -> address given by hand
        self._given: Counter[str] = Counter()  # address -> how many were given it; two is not our mistake

    def keep(self, owner: str, address: str) -> str | None:
        """Note the address that its owner was given by hand, or none (""). Returns who must move out of it."""
        if self._kept.get(owner, "") == address:
            return None
        self.release(owner)
        if not address:
            return None
        self._kept[owner] = address
        self._given[address] += 1
        evicted = self._owner.pop(address, None)
        if evicted is not None:
            del self._assigned[evicted]
        return evicted

    def address(self, owner: str) -> str:
        """The address of an owner: the one it has, else the free one nearest to its name's; "" if none is free."""
        known = self._kept.get(owner) or self._assigned.get(owner)
        if known is not None:
            return known
        if len(self._owner) >= self._size:
            return ""
        start = int.from_bytes(blake2b(owner.encode(), digest_size=8).digest(), "big")
        for step in range(self._size):
            address = str(self._network[self._first + (start + step) % self._size])
            if address not in self._owner and address not in self._given:
                self._assigned[owner] = address
                self._owner[address] = owner
                return address
        return ""

    def release(self, owner: str) -> None:
        """Forget an owner; one that has no address is no mistake."""
        address = self._assigned.pop(owner, None)
        if address is not None:
            del self._owner[address]
        given = self._kept.pop(owner, None)
        if given is not None:
            self._given[given] -= 1
            if not self._given[given]:
                del self._given[given]
