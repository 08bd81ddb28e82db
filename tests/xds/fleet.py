"""A fleet of simulated sidecars in a process of its own: `python -m tests.xds.fleet HOST:PORT COUNT [sotw] [tls=DIR]`.

Each reads, checks and ACKs. Reports on stdout, one JSON object a line: once all hold their first configuration
(`{"connected": COUNT, ...}`), then after each round in which every one of them got something more
(`{"round": N, "first_ms": ..., "last_ms": ...}`, counted from the first response of the round). With `tls`, all show
the certificate in that folder (`cert-chain.pem`, `key.pem`, `root-cert.pem`), each in a handshake of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import grpc
import grpc.aio

from tests.xds.client import OPTIONS, Sidecar, node_id

_QUIET = 0.5  # seconds without a response after which a fleet has settled


class Fleet:
    """Sidecars and what they got."""

    def __init__(self, address: str, count: int, *, incremental: bool = True, tls: Path | None = None) -> None:
        self.sidecars = [
            Sidecar(
                address,
                node_id(f"sim-{n}", "default", f"10.9.{n // 250}.{n % 250 + 1}"),
                incremental=incremental,
                channel=None if tls is None else _channel(address, tls),
            )
            for n in range(count)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Start all, and wait until none gets anything more."""
        self._tasks = [asyncio.create_task(sidecar.follow()) for sidecar in self.sidecars]
        before = -1
        while before != (now := self.responses) or any(not sidecar.responses for sidecar in self.sidecars):
            for task in self._tasks:
                if task.done():
                    task.result()
            before = now
            await asyncio.sleep(_QUIET)

    @property
    def responses(self) -> int:
        """All that came in so far."""
        return sum(sidecar.responses for sidecar in self.sidecars)

    async def round(self) -> tuple[float, float]:
        """Wait until each got one response more; returns the moments of the first and of the last."""
        wanted = [sidecar.responses + 1 for sidecar in self.sidecars]
        arrived: list[float] = []

        async def one(sidecar: Sidecar, responses: int) -> None:
            await sidecar.until(responses, seconds=600)
            arrived.append(time.monotonic())

        await asyncio.gather(*map(one, self.sidecars, wanted))
        return min(arrived), max(arrived)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(sidecar.close() for sidecar in self.sidecars))


def _channel(address: str, tls: Path) -> grpc.aio.Channel:
    roots, key, chain = ((tls / name).read_bytes() for name in ("root-cert.pem", "key.pem", "cert-chain.pem"))
    options = [*OPTIONS, ("grpc.ssl_target_name_override", "istiod.istio-system.svc")]
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(roots, key, chain), options)


def _tell(**said: object) -> None:
    used = getrusage(RUSAGE_SELF)
    sys.stdout.write(json.dumps(said | {"cpu_s": round(used.ru_utime + used.ru_stime, 3)}) + "\n")
    sys.stdout.flush()


async def main(address: str, count: int, *, incremental: bool, tls: Path | None) -> None:
    fleet = Fleet(address, count, incremental=incremental, tls=tls)
    try:
        await fleet.connect()
        _tell(connected=count, responses=fleet.responses)
        number = 0
        while True:
            first, last = await fleet.round()
            number += 1
            _tell(round=number, first=first, last=last)
    finally:
        await fleet.close()


if __name__ == "__main__":
    folders = [Path(argument[4:]) for argument in sys.argv[3:] if argument.startswith("tls=")]
    tls = folders[0] if folders else None
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), incremental="sotw" not in sys.argv[3:], tls=tls))
