"""The keys of a mesh in its cluster: made once for all its replicas, and followed when another of them changes them.

From a way to log in to what a server serves port 15012 with; workloads prove who they are by their Kubernetes tokens,
and find the roots in all namespaces. Follows pilot/pkg/bootstrap/istio_ca.go of istio/istio.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from secrets import token_hex
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from pilotpy.authority.keeping import LIMITS, External, MeshAuthority, mesh_of, serving, terms_for
from pilotpy.engine import Put
from pilotpy.kube import leases, secrets
from pilotpy.kube.access_review import AccessReviews
from pilotpy.kube.accounts import Accounts, Rhythm
from pilotpy.kube.blocking import Blocking
from pilotpy.kube.csr_signer import CsrSigner, Signer
from pilotpy.kube.remote_roots import RemoteRoots
from pilotpy.kube.root_certificates import RootCertificates, Rules
from pilotpy.kube.secret_watch import SecretWatch
from pilotpy.kube.token_review import Servers, TokenReviews
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.secret_readers import SECRET_READERS
from pilotpy.mesh.view import Identity
from pilotpy.ops.endless import endless
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.sources.kubernetes.backoff import Backoff
from pilotpy.sources.kubernetes.connection import Connection, connected
from pilotpy.sources.kubernetes.list_watch import Happened, Timing
from pilotpy.sources.kubernetes.login import Login
from pilotpy.sources.kubernetes.room import GENEROUS, UNBOUND, Bound
from pilotpy.sources.kubernetes.trouble import Trouble
from pilotpy.sources.namespaces import selected
from pilotpy.xds.identity import Unreviewed
from pilotpy.xds.server import Server
from pilotpy_ca.clock import Clock
from pilotpy_ca.errors import StorageError
from pilotpy_ca.front import FrontLimits
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.plugged_in import PluggedInFolder
from pilotpy_ca.server import log_event
from pilotpy_ca.storage import Stored
from pilotpy_ca.terms import Terms

LEADER: Final = "istio-namespace-controller-election"
"""Who holds this Lease writes the roots. Revisions share it, as they share the roots."""

T = TypeVar("T")

_GOODBYE: Final = 3.0  # seconds

_LOG: Final = logging.getLogger("pilotpy.keys")
_PAUSES: Final = timedelta(milliseconds=500), timedelta(seconds=30)  # after a first failure; at most


class ClusterKeys(NamedTuple):
    """Keys in a cluster; see `pilotpy.authority.keeping.Keeping`."""

    login: Login
    terms: Terms = Terms()
    cacerts: Path | None = None  # a folder with a signer of somebody else's; else Secret cacerts, if there is one
    limits: FrontLimits = LIMITS
    lease: leases.Terms = leases.Terms()
    rhythm: Rhythm = Rhythm()
    signer: Signer | None = None  # somebody else who signs for workloads; the keys are the control plane's then
    elsewhere: Mapping[str, Connection] = MappingProxyType({})  # the API servers of other clusters, as they are now

    @contextlib.asynccontextmanager
    async def keeping(self, server: Server) -> AsyncIterator[MeshAuthority]:
        """See `Keeping`. As long as the API server does not answer, there are no keys, and this waits."""
        random, clock = Random(), server.instruments.clock.now  # noqa: S311 - pauses need no secrecy
        namespace = server.settings.system_namespace
        async with contextlib.AsyncExitStack() as inside:
            connection = await inside.enter_async_context(connected(self.login))
            blocking = Blocking(self.login, random)
            inside.callback(blocking.close)
            plugged = await self._plugged_in(connection, namespace, random)
            source = Source(secrets.SecretStorage(blocking, namespace), plugged)
            terms = terms_for(self.terms, server)
            keeper = await _patiently(lambda: asyncio.to_thread(Keeper, source, terms, clock()), random)
            inside.callback(keeper.close)
            servers = self._servers(connection, server)
            tokens = _token_reviews(servers, server)
            external = self._external(connection, server)
            authority = MeshAuthority(keeper, server, [tokens], limits=self.limits, external=external)
            followed = _Followed(keeper, connection, namespace, clock)
            roots = _root_certificates(authority, random, UNBOUND, connection, lease := self._lease(server, connection))
            server.instruments.metrics.leading.labels(LEADER).set_function(lambda: lease.held)
            remote = self._remote_roots(authority, random)
            accounts = Accounts(
                keeper,
                connection,
                namespace=namespace,
                name=lease.holder,
                leads=lambda: lease.held,
                clock=clock,
                rhythm=self.rhythm,
            )
            keeper.evidence = accounts
            for one in (roots, remote, accounts):
                inside.callback(keeper.authority.on_change(one.look_again))
            await _patiently(accounts.tell, random)  # before there is a certificate of this replica
            inside.push_async_callback(_left, accounts)
            server.compiler.act_on(mesh_config, partial(_look_again, roots, remote))  # its discoverySelectors
            await inside.enter_async_context(serving(authority))
            await inside.enter_async_context(_reviewing(servers, server, random))
            watches = [SecretWatch(namespace, secrets.ROOT_SECRET, followed.heard)]
            if isinstance(plugged, secrets.PluggedInSecret):
                tell = plugged.tell
                watches.append(SecretWatch(namespace, secrets.PLUGGED_IN_SECRET, lambda one: tell(one.files)))
            work: list[Callable[[], Awaitable[None]]] = [
                *(partial(watch.run, connection, random, _counted(server)) for watch in watches),
                partial(followed.run, random),
                partial(lease.lead, roots.run),
                accounts.run,
                remote.run,
            ]
            await inside.enter_async_context(_running(*work))
            yield authority

    async def _plugged_in(
        self, connection: Connection, namespace: str, random: Random
    ) -> PluggedInFolder | secrets.PluggedInSecret:
        """Where a signer of somebody else's is, if there is one."""
        if self.cacerts is not None and (folder := PluggedInFolder(self.cacerts)).present():
            return folder
        name = secrets.PLUGGED_IN_SECRET
        found = await _patiently(lambda: secrets.read(connection, namespace, name), random)
        return secrets.PluggedInSecret(name, found.files)

    def _servers(self, connection: Connection, server: Server) -> Servers:
        here = {"", server.settings.cluster_id}
        return lambda cluster: connection if cluster in here else self.elsewhere.get(cluster)

    def _external(self, connection: Connection, server: Server) -> External | None:
        if self.signer is None:
            return None
        roots = partial(_roots_of, server)
        return External(CsrSigner(connection, self.signer, roots, self.terms).serving, self.signer.roots)

    def _remote_roots(self, authority: MeshAuthority, random: Random) -> RemoteRoots:
        settings = authority.server.settings
        bound = GENEROUS._replace(objects=settings.remote_cluster_objects, bytes=settings.remote_cluster_bytes)
        return RemoteRoots(
            self.elsewhere,
            partial(self._lease, authority.server),
            partial(_root_certificates, authority, random, bound),
            settings=settings,
            pause=self.rhythm.rest,
        )

    def _lease(self, server: Server, connection: Connection) -> leases.Lease:
        holder = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{token_hex(8)}"
        return leases.Lease(connection, server.settings.system_namespace, LEADER, holder, self.lease)


class _Followed:
    """Has a keeper take what another replica stored."""

    def __init__(self, keeper: Keeper, connection: Connection, namespace: str, clock: Clock) -> None:
        self._keeper = keeper
        self._connection = connection
        self._namespace = namespace
        self._clock = clock
        self._news = asyncio.Event()

    def heard(self, stored: Stored) -> None:
        """A watch tells of some version: perhaps of one that is older than what this replica stored since."""
        if stored.version != self._keeper.version:
            self._news.set()

    async def run(self, random: Random) -> None:
        """Read the latest whenever there is news, for ever."""
        backoff, said = Backoff(random, *_PAUSES), ""
        while True:
            await self._news.wait()
            self._news.clear()
            before = self._keeper.version
            try:
                latest = await secrets.read(self._connection, self._namespace, secrets.ROOT_SECRET)
                if self._keeper.version != before:  # written while we read
                    self._news.set()
                    continue
                for event in self._keeper.take(latest, self._clock()):
                    log_event(event)
                backoff.reset()
            except StorageError as error:
                if str(error) != said:
                    _LOG.error("the stored keys are not taken", extra=fields(reason=(said := str(error))))
            except Trouble as trouble:
                _LOG.warning("the stored keys are not read", extra=fields(reason=str(trouble)))
                self._news.set()
                await asyncio.sleep(backoff.pause().total_seconds())


@contextlib.asynccontextmanager
async def _reviewing(servers: Servers, server: Server, random: Random) -> AsyncIterator[None]:
    """Have those reviewed who ask for Secrets; nobody gets one before."""

    async def tell(identity: Identity, allowed: bool | None) -> None:  # noqa: FBT001 - an outcome, not a switch
        server.compiler.submit([Put(SECRET_READERS, tuple(identity), allowed)], [f"access of {'/'.join(identity)}"])
        await server.compiler.caught_up()

    server.compiler.submit([Put(SECRET_READERS, ("", "", ""), False)], ["access to Secrets"])
    reviews = AccessReviews(servers, tell, server.instruments.metrics.access_reviews.add, random)
    server.edge.reviewing = reviews
    try:
        yield
    finally:
        server.edge.reviewing = Unreviewed()
        await reviews.close()


async def _left(accounts: Accounts) -> None:
    """Tell the others that this replica goes; where that fails, they find out."""
    try:
        async with asyncio.timeout(_GOODBYE):
            await accounts.leave()
    except (Trouble, TimeoutError) as trouble:
        _LOG.warning("left without a word", extra=fields(reason=str(trouble) or "no answer in time"))


def _roots_of(server: Server, signer: str) -> str:
    """The roots that MeshConfig names for a signer, PEM."""
    return "\n".join(one.pem or "" for one in mesh_of(server).ca_certificates if signer in one.cert_signers)


def _token_reviews(servers: Servers, server: Server) -> TokenReviews:
    return TokenReviews(
        servers,
        lambda: mesh_of(server).trust_domain,
        server.instruments.metrics.token_reviews.add,
        _audiences(server.settings),
    )


def _audiences(settings: Settings) -> frozenset[str]:
    return frozenset(text.strip() for text in settings.token_audiences.split(",")) - {""}


def _root_certificates(
    authority: MeshAuthority, random: Random, bound: Bound, connection: Connection, lease: leases.Lease
) -> RootCertificates:
    rules = Rules(
        roots=lambda: b"".join(authority.keeper.authority.roots).decode(),
        selected=lambda labels: selected(mesh_of(authority.server).discovery_selectors, labels),
        allowed=lambda: lease.held,
    )
    count = authority.server.instruments.metrics.root_writes.add
    return RootCertificates(connection, rules, random, count, Timing(bound=bound))


def _look_again(roots: RootCertificates, remote: RemoteRoots, _settings: object) -> None:
    """Other namespaces may be selected."""
    roots.look_again()
    remote.look_again()


def _counted(server: Server) -> Callable[[Happened], None]:
    failures = server.instruments.metrics.failures
    return lambda happened: failures.add("secrets") if happened is Happened.FAILED else None


@contextlib.asynccontextmanager
async def _running(*work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Work that goes on beside something else, and is ended with it."""
    tasks = [asyncio.create_task(endless("the keys of the mesh", one)) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _patiently(ask: Callable[[], Awaitable[T]], random: Random) -> T:
    """What an API server answers in the end: it may be on its way up, or may not yet let us. Raises `StorageError`."""
    backoff = Backoff(random, *_PAUSES)
    while True:
        try:
            return await ask()
        except (Trouble, secrets.Unheard) as trouble:
            _LOG.warning("waiting for the API server", extra=fields(reason=str(trouble)))
        await asyncio.sleep(backoff.pause().total_seconds())
