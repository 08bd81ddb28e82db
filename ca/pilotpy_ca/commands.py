"""What people can ask of an authority, as values: the same whether it runs here or in another process."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from pilotpy_ca.certificates import pem
from pilotpy_ca.errors import CaError
from pilotpy_ca.keeper import Event, Keeper
from pilotpy_ca.keys import KeyType
from pilotpy_ca.status import Status, status
from pilotpy_ca.tokens import TokenIssuer, Workload


class Show(msgspec.Struct, tag="show"):
    """How it stands."""


class Rotate(msgspec.Struct, tag="rotate"):
    """Begin a rotation to a new key, or hurry one that is under way."""

    at_once: bool = False
    key_type: KeyType | None = None
    abandon: bool = False  # give it up instead


class Taint(msgspec.Struct, tag="taint"):
    """Distrust a signer's key, or drop its root."""

    signer: str
    at_once: bool = False
    drop: bool = False  # drop an old signer's root, tainted or not


class Revoke(msgspec.Struct, tag="revoke"):
    """Revoke certificates."""

    name: str = ""  # a SPIFFE ID: all of its certificates
    serial: str = ""  # in hex digits: this one
    reason: str = ""
    ban: bool = False
    unban: bool = False  # only this, instead


class Issue(msgspec.Struct, tag="issue"):
    """Sign a request for somebody whom the operator vouches for."""

    csr: str
    identity: str
    seconds: float = 0.0  # of life; 0: the default


class Export(msgspec.Struct, tag="export"):
    """What verifiers need."""


class Token(msgspec.Struct, tag="token"):
    """A token of the authority's own issuer."""

    namespace: str
    service_account: str
    pod: str


Command = Show | Rotate | Taint | Revoke | Issue | Export | Token


class Happened(msgspec.Struct, tag="happened"):
    """What was done."""

    events: tuple[tuple[str, str, str], ...]


class Shown(msgspec.Struct, tag="shown"):
    """An answer to `Show`."""

    status: Status


class Exported(msgspec.Struct, tag="exported"):
    """An answer to `Export`: PEM."""

    roots: str
    chain: str  # the active signer's certificate and those above it, without the root
    crl: str


class Issued(msgspec.Struct, tag="issued"):
    """An answer to `Issue`."""

    chain: tuple[str, ...]  # as in CreateCertificate
    serial: str


class TokenIssued(msgspec.Struct, tag="token"):
    """An answer to `Token`."""

    token: str


class Failed(msgspec.Struct, tag="failed"):
    """It was not done."""

    reason: str


Answer = Happened | Shown | Exported | Issued | TokenIssued | Failed


def answer(keeper: Keeper, command: Command, now: datetime) -> Answer:
    """Do what is asked. Nothing is raised that is in the tree of `CaError`."""
    try:
        return _answer(keeper, command, now)
    except (CaError, ValueError, OverflowError) as error:
        return Failed(str(error))


def _answer(keeper: Keeper, command: Command, now: datetime) -> Answer:
    match command:
        case Show():
            return Shown(status(keeper, now))
        case Rotate():
            event = (
                keeper.abandon()
                if command.abandon
                else keeper.rotate(now, at_once=command.at_once, kind=command.key_type)
            )
            return _happened(event, *keeper.tick(now))
        case Taint():
            event = (
                keeper.drop(command.signer)
                if command.drop
                else keeper.taint(command.signer, now, at_once=command.at_once)
            )
            return _happened(event, *keeper.tick(now))
        case Revoke(unban=True):
            return _happened(keeper.unban(command.name))
        case Revoke():
            what = int(command.serial, 16) if command.serial else command.name
            return _happened(*keeper.revoke(what, now, command.reason, ban=command.ban))
        case Issue():
            ttl = timedelta(seconds=command.seconds) if command.seconds else None
            chain = keeper.authority.issue(command.csr.encode(), [command.identity], ttl, now)
            return Issued(chain.elements, f"{chain.serial:x}")
        case Export():
            authority = keeper.authority
            intermediates = b"".join(map(pem, authority.slots.active.signer.intermediates))
            return Exported(b"".join(authority.roots).decode(), intermediates.decode(), authority.crl(now).decode())
        case Token():
            workload = Workload(command.namespace, command.service_account, command.pod)
            return TokenIssued(TokenIssuer(keeper.token_key()).token(workload, now))


def _happened(*events: Event) -> Happened:
    return Happened(tuple((event.what, event.about, event.detail) for event in events))
