"""Keeps one workload's certificate fresh: a new key and a request, in time and again, until an authority signs.

While the authority is away the certificate at hand stays in use, to its end and beyond: that is for peers to judge.

Source  istio/istio ``security/pkg/nodeagent/cache/secretcache.go``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pilotpy.agent.certificate import BadChain, Certificate, certificate
from pilotpy.agent.held import Holding
from pilotpy.agent.key import Key, KeyType
from pilotpy.agent.signing import Sign
from pilotpy.agent.upstream import Unreachable
from pilotpy.ops.clock import Clock
from pilotpy.ops.logs import fields

_LOG: Final = logging.getLogger("pilotpy.identity")
_SHORTEST, _LONGEST = timedelta(milliseconds=100), timedelta(seconds=30)
_LOOK_AGAIN: Final = timedelta(seconds=30)
"""A wait is cut into pieces no longer than this: the clock may be set, and a machine may have slept."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask an authority for, and when; the defaults are Istio's."""

    identity: str  # SPIFFE ID
    key_type: KeyType = KeyType.RSA_2048
    life: timedelta = timedelta(hours=24)
    grace_ratio: float = 0.5  # share of its life that a certificate has left when the next is asked for
    grace_jitter: float = 0.01  # a random share up to this is added or taken away, so that not all come at once


class Identity:
    """Asks for certificates; what comes is in a ``Holding``."""

    def __init__(self, terms: Terms, sign: Sign, holding: Holding, clock: Clock) -> None:
        self.failures = 0  # in a row
        self._terms = terms
        self._sign = sign
        self._holding = holding
        self._clock = clock
        self._asked = asyncio.Event()

    def renew(self) -> None:
        """Ask for a certificate now, whatever is left of the present one."""
        self._asked.set()

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            try:
                taken = await self._signed()
            except (Unreachable, BadChain) as failed:
                self.failures += 1
                self._complain(failed)
                await asyncio.sleep(pause(self.failures, random.random()).total_seconds())  # noqa: S311 - spreads load
                continue
            self.failures = 0
            self._asked.clear()
            self._holding.take(taken)
            due = taken.renewal(self._ratio())
            _LOG.info(
                "certificate received",
                extra=fields(identity=taken.identity, serial=f"{taken.serial:x}", ends=taken.not_after, renewal=due),
            )
            await self._until(due)

    async def _signed(self) -> Certificate:
        # Making an RSA key takes long enough to be felt by other pods of this process.
        key = await asyncio.to_thread(Key.new, self._terms.key_type)
        answer = await self._sign(key.request(self._terms.identity), self._terms.life)
        taken = certificate(answer, key, self._clock.now())
        if taken.identity != self._terms.identity:
            raise BadChain(f"the certificate is for {taken.identity}, not for {self._terms.identity}")
        return taken

    def _ratio(self) -> float:
        jitter = self._terms.grace_jitter
        return min(max(self._terms.grace_ratio + random.uniform(-jitter, jitter), 0.0), 1.0)  # noqa: S311 - spreads load

    async def _until(self, due: datetime) -> None:
        while (left := due - self._clock.now()) > timedelta(0):
            try:
                await asyncio.wait_for(self._asked.wait(), min(left, _LOOK_AGAIN).total_seconds())
            except TimeoutError:
                continue
            return

    def _complain(self, failed: Exception) -> None:
        held = self._holding.now.certificate
        left = held.life(self._clock.now()) if held else None
        _LOG.warning(
            "no certificate",
            extra=fields(identity=self._terms.identity, reason=str(failed), attempt=self.failures, left=left),
        )


def pause(failures: int, chance: float) -> timedelta:
    """How long to wait after so many failures in a row: doubled each time, a random half of it (0 to 1) taken away."""
    doubled: timedelta = _SHORTEST * 2.0 ** min(failures - 1, 20)
    return min(doubled, _LONGEST) * (1 - chance / 2)
