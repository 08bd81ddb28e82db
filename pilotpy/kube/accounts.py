"""What this replica tells the others of its certificates, and what they have told: the evidence for a rotation.

Two ConfigMaps, in which each replica has a key of its own. `istio-ca-accounts` has what each gave, and is written when
that has changed; `istio-ca-replicas` is small and has what each does now, and that it lives. Who has shown no sign of
life for long enough is struck from the second by whoever leads; its account counts until all in it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from pilotpy.ops.logs import fields
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.trouble import Refused, Trouble
from pilotpy.sources.kubernetes.wire import Wire
from pilotpy_ca.accounts import Standing, Told, account, merged
from pilotpy_ca.clock import Clock
from pilotpy_ca.errors import StorageError
from pilotpy_ca.keeper import Keeper

ACCOUNTS: Final = "istio-ca-accounts"
REPLICAS: Final = "istio-ca-replicas"

_LOG: Final = logging.getLogger("pilotpy.accounts")
_LOOK: Final = 1.0  # seconds between looks whether there is anything to tell: that asks nobody
_LATE: Final = timedelta(days=1)  # that the clock of who leads may be ahead
_NOT_FOUND, _CONFLICT = 404, 409
_MERGE: Final = "application/merge-patch+json"
_TOO_LONG: Final = frozenset({413, 422})


class Rhythm(NamedTuple):
    """How often replicas tell of themselves."""

    rest: timedelta = timedelta(seconds=60)
    rotating: timedelta = timedelta(seconds=5)
    forgotten: timedelta = timedelta(minutes=5)  # without a sign of life; several times `rest`
    bytes_a_second: float = 20_000  # of accounts that are written, at most


class _ConfigMap(Wire, frozen=True):
    data: Mapping[str, str] | None = None
    binary_data: Mapping[str, str] | None = None


class Written(NamedTuple):
    """What is in the two ConfigMaps."""

    standings: Mapping[str, Standing]
    accounts: Mapping[str, bytes]

    def told(self) -> Told:
        """What it says. Raises `StorageError`."""
        return Told(self.standings, merged(self.accounts))


def config_map_path(namespace: str, name: str = "") -> str:
    """Where a ConfigMap is, or all of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def written(replicas: bytes, accounts: bytes) -> Written:
    """What two ConfigMaps hold, in the JSON of the API server; b"{}" for one that there is not. Raises `StorageError`.

    A standing that cannot be read is of a replica that nobody knows anything of.
    """
    try:
        found, gave = (msgspec.json.decode(one, type=_ConfigMap) for one in (replicas, accounts))
        held = {name: b64decode(text, validate=True) for name, text in (gave.binary_data or {}).items()}
    except (msgspec.DecodeError, NotBase64) as error:
        raise StorageError(f"not what replicas tell: {error}") from None
    return Written({name: _standing(text) for name, text in (found.data or {}).items()}, held)


def _standing(text: str) -> Standing:
    try:
        return msgspec.json.decode(text, type=Standing)
    except msgspec.DecodeError:
        return Standing("", (), told=False)


class Accounts:
    """Tells, and listens. Evidence for `Keeper`, as long as `run` runs."""

    def __init__(  # noqa: PLR0913 - whose, where, and when
        self,
        keeper: Keeper,
        connection: Connection,
        *,
        namespace: str,
        name: str,
        leads: Callable[[], bool],
        clock: Clock,
        rhythm: Rhythm,
    ) -> None:
        """`name`: of this replica, as `leases.Lease.holder`; `leads`: whether it does what only one may."""
        self._keeper = keeper
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._leads = leads
        self._clock = clock
        self._rhythm = rhythm
        self._moment = asyncio.get_running_loop().time
        self._beat = 0
        self._revision = -1  # of the ledger whose account is written
        self._is_whole = True  # that account; else it is too long to be written
        self._account_due = self._beat_due = float("-inf")
        self._standings: Mapping[str, Standing] = {}  # as they were heard last
        self._told: Told | None = None  # in a rotation
        self._told_at = float("-inf")
        self._signs_of_life: dict[str, tuple[int, float]] = {}  # a replica's last beat, and when it was seen first
        self._changed = asyncio.Event()
        self._said = ""

    def lacking(self, root: str) -> tuple[str, ...]:
        """See `pilotpy_ca.ledger.Evidence`."""
        return self._doubts() or self._heard().lacking(root)

    def relying(self, signer_id: str) -> tuple[str, ...]:
        """See `pilotpy_ca.ledger.Evidence`."""
        return self._doubts() or self._heard().relying(signer_id)

    def look_again(self) -> None:
        """The keys are others."""
        self._changed.set()

    async def tell(self) -> bool:
        """Write what is new here: first what was given, then how this replica stands. Raises `Trouble`.

        Returns whether it has said how it stands, as it does in its rhythm and whenever that is another.
        """
        authority, now = self._keeper.authority, self._moment()
        signer, roots = authority.slots.active.signer.id, tuple(sorted(authority.root_fingerprints))
        before = self._standings.get(self._name)
        is_news = before is None or (before.signer, before.roots) != (signer, roots)
        if self._keeper.ledger.revision != self._revision and (is_news or now >= self._account_due):
            await self._tell_account()
        if not is_news and now < self._beat_due:
            return False
        self._beat += 1
        standing = Standing(signer, roots, self._beat, self._is_whole)
        await self._write(REPLICAS, "data", {self._name: msgspec.json.encode(standing).decode()})
        self._beat_due = now + self._pause().total_seconds()
        return True

    async def _tell_account(self) -> None:
        ledger = self._keeper.ledger
        revision = ledger.revision
        gave = await asyncio.to_thread(account, ledger.copied())  # there may be thousands
        self._account_due = self._moment() + len(gave) / self._rhythm.bytes_a_second
        try:
            await self._write(ACCOUNTS, "binaryData", {self._name: b64encode(gave).decode()})
        except Refused as refused:
            if refused.status not in _TOO_LONG:
                raise
            self._is_whole = False
            self._complain("what replicas gave is too long to be told: no root is changed", refused)
        else:
            self._revision, self._is_whole = revision, True

    async def listen(self) -> None:
        """Read what all have told; who leads strikes out who is gone. Raises `Trouble`, `StorageError`."""
        found = await read(self._connection, self._namespace)
        if self._name not in found.accounts:  # somebody threw it away
            self._revision = -1
        self._standings = found.standings
        self._note_life(found.standings)
        self._told, heard_at = None, self._moment()
        if self._is_rotating:
            told = await asyncio.to_thread(found.told)  # there may be thousands
            told.ledger.prune(self._clock())
            self._told, self._told_at = told, heard_at
        if self._leads():
            await self._strike_out(found)

    async def run(self) -> None:
        """Tell and listen, for ever."""
        while True:
            self._changed.clear()
            try:
                if await self.tell():
                    await self.listen()
                    self._said = ""
            except (Trouble, StorageError) as error:
                self._complain("replicas do not hear of each other", error)
                await asyncio.sleep(_LOOK)
            try:
                async with asyncio.timeout(_LOOK):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def leave(self) -> None:
        """Tell what is new, and be no replica any more; what was given still counts. Raises `Trouble`."""
        if self._keeper.ledger.revision != self._revision:
            await self._tell_account()
        await self._write(REPLICAS, "data", {self._name: None})

    @property
    def _is_rotating(self) -> bool:
        slots = self._keeper.authority.slots
        return slots.next is not None or bool(slots.old)

    def _pause(self) -> timedelta:
        return self._rhythm.rotating if self._is_rotating else self._rhythm.rest

    def _doubts(self) -> tuple[str, ...]:
        """Why nothing is known."""
        if self._keeper.self_signed and not self._leads():
            return ("the replica that leads",)  # it is for that one to say
        is_old = self._moment() - self._told_at > 3 * self._rhythm.rotating.total_seconds()
        if self._told is None or is_old or self._name not in self._told.standings:
            return ("replicas that were not heard",)
        return ()

    def _heard(self) -> Told:
        assert self._told is not None, "there are doubts then"
        self._told.ledger.revoked(self._keeper.authority.revocations.certificates)
        return self._told

    def _note_life(self, standings: Mapping[str, Standing]) -> None:
        seen = self._signs_of_life
        self._signs_of_life = {
            name: seen[name] if name in seen and seen[name][0] == one.beat else (one.beat, self._moment())
            for name, one in standings.items()
        }

    async def _strike_out(self, found: Written) -> None:
        """Take away the standings of who has been silent for too long, and accounts in which all has ended."""
        longest = self._rhythm.forgotten.total_seconds()
        silent = [name for name, (_, since) in self._signs_of_life.items() if self._moment() - since > longest]
        if silent:
            _LOG.warning("replicas are gone", extra=fields(names=silent))
            await self._write(REPLICAS, "data", dict.fromkeys(silent))
        for name in found.accounts.keys() - found.standings.keys():
            left = await asyncio.to_thread(merged, {name: found.accounts[name]})  # there may be thousands
            if all(one.ends <= self._clock() - _LATE for one in left):
                await self._write(ACCOUNTS, "binaryData", {name: None})

    async def _write(self, name: str, field: str, keys: Mapping[str, str | None]) -> None:
        await write(self._connection, self._namespace, name, {field: dict(keys)})

    def _complain(self, what: str, error: Exception) -> None:
        if (reason := str(error)) != self._said:
            self._said = reason
            _LOG.error(what, extra=fields(reason=reason))


async def read(connection: Connection, namespace: str) -> Written:
    """What all replicas have told. Raises `Trouble`, `StorageError`."""
    found = []
    for name in (REPLICAS, ACCOUNTS):
        try:
            found.append(await connection.ask("GET", config_map_path(namespace, name)))
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            found.append(b"{}")
    return written(*found)


async def write(connection: Connection, namespace: str, name: str, change: Mapping[str, Any]) -> None:
    """Merge something into a ConfigMap, which is made if there is none. Raises `Trouble`."""
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **change}
    merging = partial(connection.ask, "PATCH", config_map_path(namespace, name), change, content=_MERGE)
    try:
        await merging()
    except Refused as missing:
        if missing.status != _NOT_FOUND:
            raise
        try:
            await connection.ask("POST", config_map_path(namespace), made)
        except Refused as refused:
            if refused.status != _CONFLICT:  # else another replica made it
                raise
            await merging()
