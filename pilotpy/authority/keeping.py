"""The keys of a mesh in its control plane: kept, used for port 15012, told to proxies, and rotated when they hold them.

From a folder of keys and a running server to what the secure port needs. The key never leaves this process: another
edge would forward the bytes of a request, with the caller that it authenticated, to `CertificateService.create`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography import x509

from pilotpy.authority.exposition import AuthorityMetrics
from pilotpy.authority.names import server_names
from pilotpy.authority.oidc import OidcTokens, rule_of
from pilotpy.authority.projection import Projection
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Put
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.trusted_roots import ROOTS
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.sources.change import Change
from pilotpy.xds.identity import Authenticators
from pilotpy.xds.jwks import Door, networks
from pilotpy.xds.server import Identified, Server
from pilotpy_ca.authenticators import Authenticator, ClientCertificate, admission, folder_issuer
from pilotpy_ca.certificates import fingerprint
from pilotpy_ca.control import controlled, opened
from pilotpy_ca.errors import CaError
from pilotpy_ca.front import Front, FrontLimits
from pilotpy_ca.keeper import Keeper
from pilotpy_ca.server import Create, ServerCertificate, certificate_handler, ticking
from pilotpy_ca.service import CertificateService
from pilotpy_ca.terms import Terms
from pilotpy_ca.tokens import TokenIssuer
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig

# Pods of one node, or of all nodes behind one gateway, may come from one address, and start at once.
LIMITS: Final = FrontLimits(handshakes=1024, handshakes_per_address=256)
_TOKEN_LIFE: Final = timedelta(hours=1)  # as Kubernetes gives to projected tokens


class Keeping(Protocol):
    """Knows where the keys of a mesh are."""

    def keeping(self, server: Server) -> AbstractAsyncContextManager[MeshAuthority]:
        """The authority with these keys; the server has read the settings of its mesh. Raises `CaError`, `OSError`."""
        ...


class Keys(NamedTuple):
    """Keys in a folder; see `Keeping`."""

    folder: Path
    terms: Terms = Terms()
    cacerts: Path | None = None  # a signer of somebody else's, as in Secret cacerts
    projected: Path | None = None  # where roots and tokens for Pods are written; None: nowhere
    speed: float = 1.0  # how much faster tokens age; `terms` have been told already
    limits: FrontLimits = LIMITS

    @contextlib.asynccontextmanager
    async def keeping(self, server: Server) -> AsyncIterator[MeshAuthority]:
        """See `Keeping`; also takes commands for the folder."""
        clock = server.instruments.clock
        with opened(self.folder, terms_for(self.terms, server), self.cacerts, clock.now) as keeper:
            issuer = TokenIssuer(keeper.token_key(), life=_TOKEN_LIFE / self.speed)
            projection = Projection(self.projected, issuer) if self.projected is not None else None
            tokens = folder_issuer(issuer, lambda: mesh_of(server).trust_domain)
            authority = MeshAuthority(keeper, server, [tokens], projection, limits=self.limits)
            async with controlled(self.folder, keeper, clock.now), serving(authority):
                yield authority


class External(NamedTuple):
    """Somebody else who signs for workloads; the keeper's own keys are for the control plane then."""

    create: Callable[[CertificateService], Create]
    roots: tuple[bytes, ...]  # PEM, one each, that what it signs leads to; empty: not known beforehand


class MeshAuthority:
    """An authority that lives with a server. Belongs to one event loop.

    Callers prove who they are by a certificate of the keeper's, or as `authenticators` know.
    """

    def __init__(  # noqa: PLR0913 - keys, and what is done with them
        self,
        keeper: Keeper,
        server: Server,
        authenticators: Sequence[Authenticator],
        projection: Projection | None = None,
        *,
        limits: FrontLimits = LIMITS,
        external: External | None = None,
    ) -> None:
        self.keeper = keeper
        self.server = server
        self._clock = server.instruments.clock
        authority = keeper.authority
        self._projection = projection
        self.front = Front(admission(authority, lambda: {mesh_of(server).trust_domain}), limits)
        self._names: tuple[str, ...] = ()
        self._certificate: ServerCertificate | None = None
        self._believed: dict[bytes, frozenset[str]] = {}  # fingerprints of the roots in a collection, by its digest
        rule, trust_domain = server.settings.jwt_rule, lambda: mesh_of(server).trust_domain
        self.oidc = OidcTokens(rule_of(rule), trust_domain) if rule else None
        foreign = [self.oidc.authenticator] if self.oidc is not None else []
        authenticators = (ClientCertificate(authority), *foreign, *authenticators)
        self.service = CertificateService(authority)
        elsewhere = external.create(self.service) if external is not None else None
        self._others = external.roots if external is not None else ()
        authority.adopt(authority.slots, extra_roots=[x509.load_pem_x509_certificate(root) for root in self._others])
        handler = certificate_handler(self.service, authenticators, self.front.peer, self._clock.now, elsewhere)
        self.identified = Identified(
            self.front, Authenticators(authenticators, self._clock, authority.check_bans), (handler,)
        )

    def follow(self, changes: Iterable[Change]) -> None:
        """Take note of Pods: those that are there get tokens, those that are not are waited for no longer."""
        changes = tuple(changes)
        for ref, _, _, new in changes:
            if ref.kind == "Pod" and new is None:
                self.keeper.ledger.gone(f"{ref.name}.{ref.namespace}")
        if self._projection is not None:
            self._projection.follow(changes)
            self._project_now()

    def keep(self, now: datetime) -> None:
        """Do what is due: the server's own certificate, roots and tokens in files. Raises errors of `CaError`."""
        names = server_names(self.server.settings, mesh_of(self.server))
        if self._certificate is None or names != self._names:
            fresh = ServerCertificate(self.keeper.authority, self.front, names, self._others)
            self._certificate, self._names = fresh, names
        self._certificate.keep(now)
        if self._projection is not None:
            authority = self.keeper.authority
            self._projection.keep(b"".join(authority.roots), authority.crl(now), now)

    def _project_now(self) -> None:
        """Write files as soon as there is something new to write. What fails is told, and tried again, by `keep`."""
        with contextlib.suppress(CaError):
            self.keep(self._clock.now())

    def publish(self) -> None:
        """Tell proxies the roots of now, and files what is revoked; hang up on who is known by that, or is banned."""
        self._project_now()
        self.front.review()
        self.server.edge.hang_up_on(self.keeper.authority.revocations.banned)
        roots = tuple(root.decode() for root in self.keeper.authority.roots)
        self.server.compiler.submit([Put(ROOTS, ("",), roots)], ["roots of the certificate authority"])

    def trusted(self, holder: str, bundle: Tree) -> None:
        """A proxy has taken a bundle: evidence for a rotation that waits for it."""
        believed = self._believed.get(bundle.digest)
        if believed is None:
            configs = (ProxyConfig.FromString(bytes(one)) for one in bundle)
            pems = (pem.encode() for config in configs for pem in config.ca_certificates_pem)
            believed = frozenset(fingerprint(x509.load_pem_x509_certificate(pem)) for pem in pems)
            self._believed = {bundle.digest: believed}  # all proxies take the same, one after the other
        self.keeper.ledger.report(holder, believed)


def mesh_of(server: Server) -> MeshConfig:
    """The mesh's settings, as they are now."""
    return server.compiler.engine.ask(mesh_config)


def terms_for(terms: Terms, server: Server) -> Terms:
    """The terms, for the trust domain of a server's mesh."""
    return replace(terms, trust_domain=mesh_of(server).trust_domain)


@contextlib.asynccontextmanager
async def serving(authority: MeshAuthority) -> AsyncIterator[None]:
    """Let an authority do its work beside its server: keys kept up, roots published, all of it measured.

    Raises `CaError`, `OSError`.
    """
    server, keeper, clock = authority.server, authority.keeper, authority.server.instruments.clock
    metrics = AuthorityMetrics(keeper, authority.service.counts, authority.front, clock)
    server.instruments.metrics.registry.register(metrics)
    server.edge.trusted = authority.trusted
    heard_no_more = keeper.authority.on_change(authority.publish)
    try:
        authority.keep(clock.now())
        authority.publish()
        async with contextlib.AsyncExitStack() as stack:
            if authority.oidc is not None:
                door = Door(networks(server.settings.blocked_key_networks))
                await stack.enter_async_context(authority.oidc.learning(door, server.instruments.metrics))
            ticks = asyncio.create_task(ticking(keeper, authority.keep, clock.now), name="authority")
            try:
                yield
            finally:
                ticks.cancel()
                await asyncio.gather(ticks, return_exceptions=True)
    finally:
        heard_no_more()
        server.instruments.metrics.registry.unregister(metrics)
        await authority.front.stop()
