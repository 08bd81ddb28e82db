"""The authority: certificates signed per second, from a request's bytes to a response's, and over TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from pilotpy_ca.authenticators import Caller, ClientCertificate, folder_issuer
from pilotpy_ca.authority import Chain
from pilotpy_ca.csr import new_request
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.ledger_file import LedgerFile
from pilotpy_ca.rate import RateLimit
from pilotpy_ca.server import serving
from pilotpy_ca.service import METHOD, SERVICE, CertificateService
from pilotpy_ca.storage import FolderStorage
from pilotpy_ca.terms import Terms
from pilotpy_ca.tokens import TokenIssuer, Workload
from pilotpy_protos.istio.v1.auth import ca_pb2
from tests.bench.row import row

SECONDS = 2.0  # that each is measured for
CALLERS = 8
NAME = "istiod.istio-system.svc"
AIMS = {
    f"ca {KeyType.RSA_2048} signs {KeyType.RSA_2048}": "> 3000",
    f"ca {KeyType.P256} signs {KeyType.P256}": "> 8000",
}
IDENTITY = "spiffe://cluster.local/ns/default/sa/bench"

Row = tuple[str, float, str]  # name, value, unit


def rows() -> Iterator[Row]:
    """Return the figures: signing by kind of key, then through gRPC with mTLS."""
    for signer in (KeyType.RSA_2048, KeyType.RSA_4096, KeyType.P256, KeyType.P384):
        for leaf in (KeyType.RSA_2048, KeyType.P256):
            with TemporaryDirectory() as folder:
                service = CertificateService(keeper(Path(folder), signer).authority)
                asked = request(PrivateKey.new(leaf))
                caller, now = Caller((IDENTITY,), "bench"), datetime.now(UTC)

                def sign(service=service, asked=asked, caller=caller, now=now) -> None:
                    service.create(asked, caller, now)

                yield f"ca {signer} signs {leaf}", rate(sign), "certificates/s/core"
    with TemporaryDirectory() as folder:
        yield from asyncio.run(served(Path(folder)))


def keeper(folder: Path, key_type: KeyType = KeyType.RSA_2048) -> Keeper:
    """Return a keeper as a user has it: keys and ledger on disk."""
    source = Source(FolderStorage(folder), ledger=LedgerFile(folder / "issued.jsonl"))
    return Keeper(source, dataclasses.replace(Terms(), key_type=key_type), datetime.now(UTC))


def request(key: PrivateKey) -> bytes:
    """Return the bytes of a request for a key."""
    return ca_pb2.IstioCertificateRequest(csr=new_request(key).decode()).SerializeToString()


def rate(act: Callable[[], None]) -> float:
    """Return how often something can be done in a second of one core."""
    act()
    gc.collect()
    done, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < SECONDS:
        act()
        done += 1
    return done / spent


async def served(folder: Path) -> list[Row]:
    """Return what goes through the front and gRPC, clients in threads of this process: both share its cores."""
    kept = keeper(folder)
    issuer = TokenIssuer(kept.token_key())
    authenticators = [ClientCertificate(kept.authority), folder_issuer(issuer, lambda: "cluster.local")]
    key = PrivateKey.new(KeyType.P256)
    chain = kept.authority.issue(new_request(key), [IDENTITY], None, datetime.now(UTC))
    token = issuer.token(Workload("default", "bench", "bench-1"), datetime.now(UTC))
    async with serving(kept, authenticators, "127.0.0.1:0", [NAME]) as running:
        running.service.limit = running.service.shared_limit = RateLimit(1_000_000, 1_000_000.0)  # it is one proxy
        connect = _Connect(running.address, b"".join(kept.authority.roots), chain, key)
        found: list[Row] = []
        for name, act in (
            ("warm connection, client certificate", _warm(connect, ())),
            ("fresh connection, client certificate", _fresh(connect, ())),
            ("fresh connection, token", _fresh(_Connect(running.address, connect.roots), _bearer(token))),
        ):
            done = await asyncio.to_thread(_together, act)
            found.append((f"ca through gRPC: {name}", done, "certificates/s, clients included"))
        return found


class _Connect:
    def __init__(self, address: str, roots: bytes, chain: Chain | None = None, key: PrivateKey | None = None) -> None:
        self.roots = roots
        self._address = address
        shown = (key.pem(), chain.certificates) if chain and key else (None, None)
        self._credentials = grpc.ssl_channel_credentials(roots, *shown)

    def __call__(self) -> grpc.Channel:
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(self._address, self._credentials, options=options)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _warm(connect: _Connect, metadata: tuple[tuple[str, str], ...]) -> Callable[[], Callable[[], None]]:
    def caller() -> Callable[[], None]:
        create = connect().unary_unary(f"/{SERVICE}/{METHOD}")
        asked = request(PrivateKey.new(KeyType.P256))

        def act() -> None:
            create(asked, metadata=metadata, timeout=10)

        return act

    return caller


def _fresh(connect: _Connect, metadata: tuple[tuple[str, str], ...]) -> Callable[[], Callable[[], None]]:
    def caller() -> Callable[[], None]:
        asked = request(PrivateKey.new(KeyType.P256))

        def act() -> None:
            with connect() as channel:
                channel.unary_unary(f"/{SERVICE}/{METHOD}")(asked, metadata=metadata, timeout=10)

        return act

    return caller


def _together(caller: Callable[[], Callable[[], None]]) -> float:
    """Return how many calls a second several callers make together."""

    def calls(_number: int) -> int:
        act, done, end = caller(), 0, time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            act()
            done += 1
        return done

    with ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(calls, range(CALLERS))) / SECONDS


if __name__ == "__main__":
    for name, value, unit in rows():
        row("authority", name.removeprefix("ca "), value, unit, AIMS.get(name, ""))
