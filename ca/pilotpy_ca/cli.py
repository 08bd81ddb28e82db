"""``pilotpy-ca``: the authority alone, and what people ask of one. The same commands go under ``pilotpy ca``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pilotpy_ca.keys import KeyType

if TYPE_CHECKING:
    from pilotpy_ca.authenticators import Authenticator, Jwt
    from pilotpy_ca.commands import Answer, Command
    from pilotpy_ca.terms import Terms

app = typer.Typer(
    name="ca",
    help="The certificate authority of a mesh.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How answers are printed."""

    TEXT = "text"
    JSON = "json"


# Asks, in place of a folder, those keys that are in none; with a folder of somebody else's signer. Raises `CaError`.
elsewhere: ContextVar[Callable[[Command, Path | None], Answer] | None] = ContextVar("elsewhere", default=None)


def default_folder() -> Path:
    """Where the keys are unless told otherwise: under the user's state directory (XDG)."""
    import os

    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pilotpy" / "ca"


Folder = Annotated[
    Path, typer.Option("--dir", help="Folder of the keys.", metavar="DIR", default_factory=default_folder)
]
Cacerts = Annotated[
    Path | None,
    typer.Option("--cacerts", help="Folder with a signer of your own, as in Secret cacerts.", metavar="DIR"),
]
TrustDomain = Annotated[str, typer.Option("--trust-domain", help="Of a root that has to be made.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]


@app.command()
def serve(
    folder: Folder,
    cacerts: Cacerts = None,
    trust_domain: TrustDomain = "cluster.local",
    address: Annotated[str, typer.Option(help="Where to serve CreateCertificate over TLS.")] = ":15012",
    dns_names: Annotated[
        list[str] | None, typer.Option("--dns-name", help="A name of this server; may be repeated.")
    ] = None,
    key_type: Annotated[KeyType, typer.Option(help="Of self-signed roots.")] = KeyType.RSA_2048,
    default_hours: Annotated[float, typer.Option(help="Life of certificates, unless asked for.")] = 24,
    longest_hours: Annotated[float, typer.Option(help="Life that may be asked for.")] = 2160,
    root_days: Annotated[float, typer.Option(help="Life of self-signed roots.")] = 3650,
    multi_root: Annotated[bool, typer.Option(help="Let plugged-in roots change, by way of a set with both.")] = False,
    jwt_issuer: Annotated[str, typer.Option(help="Take tokens of this issuer too.")] = "",
    jwt_audience: Annotated[str, typer.Option(help="The audience that they are for.")] = "istio-ca",
    jwks: Annotated[Path | None, typer.Option(help="Its keys (JSON Web Key Set).", metavar="FILE")] = None,
    clock_speed: Annotated[float, typer.Option(help="How much faster everything ages: lives are divided by it.")] = 1,
) -> None:
    """Sign for workloads until interrupted."""
    import asyncio

    from pilotpy_ca.authenticators import Jwt, TokenRule
    from pilotpy_ca.errors import CaError
    from pilotpy_ca.terms import Terms

    terms = Terms(
        trust_domain=trust_domain,
        default_life=timedelta(hours=default_hours),
        longest_life=timedelta(hours=longest_hours),
        root_life=timedelta(days=root_days),
        key_type=key_type,
        multi_root=multi_root,
    ).at_speed(clock_speed)
    more: list[Jwt] = []
    try:
        if jwt_issuer:
            if jwks is None:
                _fail("--jwt-issuer needs --jwks", 2)
            rule = TokenRule(jwt_issuer, frozenset({jwt_audience}), lambda: trust_domain)
            more.append(Jwt(rule))
            more[0].learn(jwks.read_bytes())
        asyncio.run(
            _serve(folder, cacerts, terms, address, dns_names or ["istiod.istio-system.svc", "localhost"], more)
        )
    except (CaError, OSError) as error:
        _fail(str(error))


@app.command()
def show(folder: Folder, cacerts: Cacerts = None, output: Output = Format.TEXT) -> None:
    """Show signers, what a rotation waits for, and what ends soon."""
    from pilotpy_ca.commands import Show, Shown

    said = _ask(folder, cacerts, Show())
    if output is Format.JSON:
        _print_json(said)
        return
    assert isinstance(said, Shown), "the answer to Show"
    stands = said.status
    print(f"trust domain {stands.trust_domain}; {stands.certificates} certificates, {stands.revoked} revoked")
    for signer in stands.signers:
        tainted = "  TAINTED" if signer.tainted else ""
        end = f"until {signer.ends:%Y-%m-%d %H:%M}"
        print(f"{signer.phase:9} {signer.id}  {signer.key:8}  {end}  {signer.subject}{tainted}")
    for wait in stands.waits:
        names = ", ".join(wait.holders[:5]) + (f" and {len(wait.holders) - 5} more" if len(wait.holders) > 5 else "")
        print(f"waiting to {wait.step} {wait.signer}: {names or 'nobody is missing; it is about to happen'}")
    for name in stands.banned:
        print(f"banned {name}")
    for warning in stands.warnings:
        print(f"warning: {warning}")


@app.command()
def rotate(
    folder: Folder,
    cacerts: Cacerts = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait until every proxy trusts the new root.")] = False,
    key_type: Annotated[KeyType | None, typer.Option(help="Of the new root.")] = None,
    abandon: Annotated[bool, typer.Option(help="Give up the rotation that is under way.")] = False,
    taint: Annotated[str, typer.Option(help="Somebody else may have the key of this signer.", metavar="ID")] = "",
    drop: Annotated[str, typer.Option(help="Drop the root of this old signer.", metavar="ID")] = "",
) -> None:
    """Go over to a new root, step by step: add trust, wait, switch, wait, drop the old."""
    from pilotpy_ca.commands import Rotate, Taint

    command: Command = Rotate(at_once=now, key_type=key_type, abandon=abandon)
    if taint or drop:
        command = Taint(taint or drop, at_once=now, drop=bool(drop))
    _print_events(_ask(folder, cacerts, command))


@app.command()
def revoke(
    folder: Folder,
    what: Annotated[str, typer.Argument(help="A SPIFFE ID, or the serial number of a certificate in hex digits.")],
    cacerts: Cacerts = None,
    reason: Annotated[str, typer.Option(help="For people.")] = "",
    ban: Annotated[bool, typer.Option(help="Give this identity no more certificates.")] = False,
    unban: Annotated[bool, typer.Option(help="Let this identity have certificates again; revokes nothing.")] = False,
) -> None:
    """Revoke one certificate, or all of an identity."""
    from pilotpy_ca.commands import Revoke

    name, serial = (what, "") if "://" in what else ("", what)
    if (ban or unban) and not name:
        _fail("--ban and --unban take a SPIFFE ID", 2)
    _print_events(_ask(folder, cacerts, Revoke(name, serial, reason, ban, unban)))


@app.command()
def issue(
    folder: Folder,
    identity: Annotated[str, typer.Argument(help="A SPIFFE ID or a DNS name.")],
    out: Annotated[Path, typer.Option(help="Folder for cert-chain.pem, key.pem, root-cert.pem.", metavar="DIR")],
    cacerts: Cacerts = None,
    hours: Annotated[float, typer.Option(help="Of life; 0: the default.")] = 0,
    key_type: Annotated[KeyType, typer.Option(help="Of the new key.")] = KeyType.P256,
    token: Annotated[
        bool, typer.Option(help="A token instead, as istio-token; identity is NAMESPACE/ACCOUNT/POD.")
    ] = False,
) -> None:
    """Make a key here and have a certificate for it: for a machine that cannot ask itself."""
    from pilotpy_ca.commands import Issue, Issued, Token, TokenIssued
    from pilotpy_ca.csr import new_request
    from pilotpy_ca.keys import PrivateKey

    if token:
        parts = identity.split("/")
        if len(parts) != 3:
            _fail("--token takes NAMESPACE/ACCOUNT/POD", 2)
        said = _ask(folder, cacerts, Token(*parts))
        assert isinstance(said, TokenIssued), "the answer to Token"
        _write(out / "istio-token", said.token)
        return
    key = PrivateKey.new(key_type)
    said = _ask(folder, cacerts, Issue(new_request(key).decode(), identity, hours * 3600))
    assert isinstance(said, Issued), "the answer to Issue"
    _write(out / "key.pem", key.pem().decode())
    _write(out / "cert-chain.pem", "".join(said.chain[:-1]))
    _write(out / "root-cert.pem", said.chain[-1])
    print(f"serial {said.serial}")


@app.command()
def export(
    folder: Folder,
    cacerts: Cacerts = None,
    crl: Annotated[bool, typer.Option(help="The revocation lists.")] = False,
    chain: Annotated[bool, typer.Option(help="The signer's certificate and those between it and the root.")] = False,
) -> None:
    """Print the roots that verifiers are to trust, as PEM."""
    from pilotpy_ca.commands import Export, Exported

    said = _ask(folder, cacerts, Export())
    assert isinstance(said, Exported), "the answer to Export"
    sys.stdout.write(said.crl if crl else said.chain if chain else said.roots)


def main() -> None:
    """Run the command that the process' arguments name."""
    app()


async def _serve(
    folder: Path, cacerts: Path | None, terms: Terms, address: str, dns_names: list[str], more: list[Jwt]
) -> None:
    import asyncio
    import logging
    import signal

    from pilotpy_ca.authenticators import ClientCertificate, folder_issuer
    from pilotpy_ca.control import controlled, opened
    from pilotpy_ca.server import serving
    from pilotpy_ca.tokens import TokenIssuer

    logging.basicConfig(level=logging.INFO)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with opened(folder, terms, cacerts) as keeper:
        own = folder_issuer(TokenIssuer(keeper.token_key()), lambda: terms.trust_domain)
        authenticators: list[Authenticator] = [ClientCertificate(keeper.authority), *more, own]
        async with (
            controlled(folder, keeper),
            serving(keeper, authenticators, address, dns_names) as running,
        ):
            print(f"serving certificates on {running.address}", flush=True)
            await stop.wait()


def _ask(folder: Path, cacerts: Path | None, command: Command) -> Answer:
    from pilotpy_ca.commands import Failed
    from pilotpy_ca.control import ask
    from pilotpy_ca.errors import CaError
    from pilotpy_ca.terms import Terms

    other = elsewhere.get()
    try:
        said = other(command, cacerts) if other is not None else ask(folder, command, Terms(), cacerts)
    except CaError as error:
        _fail(str(error))
    if isinstance(said, Failed):
        _fail(said.reason)
    return said


def _print_events(said: Answer) -> None:
    from pilotpy_ca.commands import Happened

    assert isinstance(said, Happened), "the answer to a command that does something"
    for what, about, detail in said.events:
        print(f"{what} {about}{f': {detail}' if detail else ''}")


def _print_json(said: Answer) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(said)).decode())


def _write(path: Path, text: str) -> None:
    import os

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(path)


def _fail(message: str, code: int = 1) -> NoReturn:
    print(f"pilotpy-ca: {message}", file=sys.stderr)
    raise typer.Exit(code)
