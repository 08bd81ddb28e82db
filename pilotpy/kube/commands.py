"""What people ask of the keys of a cluster: done here, with what is in the cluster, for all replicas to take over.

Whoever may write Secret `istio-ca-secret` may command: no replica is asked. Each change is for the version of the keys
that was read, as a replica's are, and is tried again where one of those was faster. The steps of a rotation that need
evidence are the leader's.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Final

from pilotpy.kube.accounts import ACCOUNTS, read, write
from pilotpy.kube.blocking import Blocking
from pilotpy.kube.secrets import PLUGGED_IN_SECRET, ROOT_SECRET, PluggedInSecret, SecretStorage
from pilotpy.kube.secrets import read as secret
from pilotpy.sources.kubernetes.connection import Connection, connected
from pilotpy.sources.kubernetes.login import Login
from pilotpy_ca.accounts import account
from pilotpy_ca.certificates import organization_of
from pilotpy_ca.clock import system_clock
from pilotpy_ca.commands import Answer, Command, Failed, Issued, Token, answer
from pilotpy_ca.errors import StorageError
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.ledger import Issued as Given
from pilotpy_ca.ledger import Ledger
from pilotpy_ca.plugged_in import PluggedInFolder
from pilotpy_ca.terms import Terms

_TRIES: Final = 5


async def ask(login: Login, namespace: str, command: Command, cacerts: Path | None = None) -> Answer:
    """Have a command done. Raises `StorageError`, `BundleError`; `Trouble` of the API server's."""
    if isinstance(command, Token):
        return Failed("the Pods of a cluster have tokens of its own: kubectl create token --audience istio-ca")
    server = Blocking(login, Random())  # noqa: S311 - pauses need no secrecy
    try:
        async with connected(login) as connection:
            for _ in range(_TRIES):
                keeper = await _keeper(connection, server, namespace, cacerts)
                before = keeper.version
                said = answer(keeper, command, system_clock())
                if not isinstance(said, Failed) or keeper.version == before:
                    break
            if isinstance(said, Issued):
                await _tell(connection, namespace, keeper.ledger.find(int(said.serial, 16)))
            return said
    finally:
        server.close()


async def _keeper(connection: Connection, server: Blocking, namespace: str, cacerts: Path | None) -> Keeper:
    """The keys that are in force, with all that replicas have told. Raises `StorageError`, `BundleError`, `Trouble`."""
    plugged: PluggedInFolder | PluggedInSecret
    if cacerts is not None:
        plugged = PluggedInFolder(cacerts)
    else:
        plugged = PluggedInSecret(PLUGGED_IN_SECRET, (await secret(connection, namespace, PLUGGED_IN_SECRET)).files)
    if not plugged.present() and not (await secret(connection, namespace, ROOT_SECRET)).files:
        raise StorageError(f"there are no keys in namespace {namespace}, and a question is no reason to make some")
    now, told = system_clock(), (await read(connection, namespace)).told()
    told.ledger.prune(now)
    # What this evidence allows has to last for a while before it is done, and this is over sooner.
    keeper = Keeper(Source(SecretStorage(server, namespace), plugged), Terms(), now, told)
    signer = keeper.authority.slots.active.signer
    keeper.terms = replace(keeper.terms, trust_domain=organization_of(signer.certificate) or keeper.terms.trust_domain)
    for one in told.ledger:
        keeper.ledger.add(one)
    for ledger in (keeper.ledger, told.ledger):
        ledger.revoked(keeper.authority.revocations.certificates)
    return keeper


async def _tell(connection: Connection, namespace: str, given: Given | None) -> None:
    """Let all know of a certificate that was given here, as if by a replica that has gone since. Raises `Trouble`."""
    gave = account(Ledger([given] if given is not None else ()))
    name = f"command_{token_hex(8)}"
    await write(connection, namespace, ACCOUNTS, {"binaryData": {name: b64encode(gave).decode()}})
