"""Keeps the addresses of gateways between networks: a name that a query wants is resolved, the outcome an input.

Names are asked for again when their answers end. While no name server says anything, the last answer counts.
Source: istio/istio pilot/pkg/model/network.go (networkGatewayNameCache).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from pilotpy.engine import Put
from pilotpy.mesh.network_gateways import HOST_ADDRESSES, wanted_hosts
from pilotpy.ops.logs import fields
from pilotpy.xds.compiler import LocalCompiler
from pilotpy.xds.keeper import Keeper, keeping

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

_LOG: Final = logging.getLogger("pilotpy.hosts")
_LONGEST: Final = 5.0  # seconds that a question may take
_RECORDS: Final = ("A", "AAAA")


class Lives(NamedTuple):
    """For how long an answer counts, whatever it says itself."""

    shortest: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)


class Answer(NamedTuple):
    """What a name is now."""

    addresses: tuple[str, ...]  # sorted; empty: there is no such name
    life: timedelta


class Unanswered(Exception):
    """No name server said anything; the message says why."""


Resolve = Callable[[str], Awaitable[Answer]]
Write = Callable[[list[Put], list[str]], None]


class HostKeeper(Keeper[str]):
    """Resolves the names that are wanted, for as long as they are."""

    def __init__(self, resolve: Resolve, write: Write, lives: Lives | None = None) -> None:
        """`resolve` raises `Unanswered`."""
        super().__init__()
        self._resolve = resolve
        self._write = write
        self._lives = lives or Lives()

    async def _keep(self, host: str, tried: asyncio.Event) -> None:
        known: tuple[str, ...] = ()
        while True:
            life = self._lives.shortest
            try:
                found = await self._resolve(host)
            except Unanswered as why:
                _LOG.warning("a gateway's name was not resolved", extra=fields(host=host, reason=str(why)))
            else:
                life = max(life, min(found.life, self._lives.longest))
                if found.addresses != known:
                    known = found.addresses
                    self._put(host, known)
            tried.set()
            await asyncio.sleep(life.total_seconds())

    def _forget(self, host: str) -> None:
        self._put(host, None)

    def _put(self, host: str, addresses: tuple[str, ...] | None) -> None:
        self._write([Put(HOST_ADDRESSES, (host,), addresses)], [f"addresses of {host}"])


async def looked_up(host: str, resolver: Resolver) -> Answer:
    """The IPv4 and IPv6 addresses of a name.

    Raises `Unanswered` unless both questions were answered, or one of them with addresses.
    """
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, LifetimeTimeout, NoNameservers

    addresses: set[str] = set()
    lives: list[float] = []
    for kind in _RECORDS:
        try:
            found = await resolver.resolve(host, kind, raise_on_no_answer=False, lifetime=_LONGEST, search=False)
        except NXDOMAIN:
            lives.append(0)
        except (LifetimeTimeout, NoNameservers) as why:
            _LOG.debug("name server", extra=fields(host=host, reason=str(why)))
        except DNSException as why:  # the name is none
            raise Unanswered(str(why)) from why
        else:
            addresses.update(str(one) for one in found.rrset or ())
            lives.append(found.chaining_result.minimum_ttl)
    if not addresses and len(lives) < len(_RECORDS):
        raise Unanswered("no name server answers")
    return Answer(tuple(sorted(addresses)), timedelta(seconds=min(lives)))


def keeping_hosts(
    compiler: LocalCompiler, resolver: Resolver | None = None
) -> contextlib.AbstractAsyncContextManager[None]:
    """Keep the addresses that the compiler's answers want. Proxies must not be sent around gateways meanwhile."""

    async def resolve(host: str) -> Answer:
        nonlocal resolver
        if resolver is None:
            from dns.asyncresolver import Resolver
            from dns.resolver import NoResolverConfiguration

            try:
                resolver = Resolver()
            except NoResolverConfiguration as why:
                raise Unanswered(str(why)) from why
        return await looked_up(host, resolver)

    return keeping(compiler, wanted_hosts, HostKeeper(resolve, compiler.submit))
