"""The keys of a mesh in its control plane: kept, used for port 15012, told to proxies, and rotated when they hold them.

From a folder of keys and a running server to what the secure port needs. The key never leaves this process: another
edge would forward the bytes of a request, with the caller that it authenticated, to `CertificateService.create`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from pilotpy.authority.exposition import AuthorityMetrics
from pilotpy.authority.names import server_names
from pilotpy.authority.projection import Projection
from pilotpy.compile.encoded import Tree
from pilotpy.engine import Put
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.trusted_roots import ROOTS
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.sources.change import Change
from pilotpy.xds.identity import Authenticators
from pilotpy.xds.server import Identified, Server
from pilotpy_ca.authenticators import ClientCertificate, admission, folder_issuer
from pilotpy_ca.certificates import fingerprint
from pilotpy_ca.control import controlled, opened
from pilotpy_ca.errors import CaError
from pilotpy_ca.front import Front, FrontLimits
from pilotpy_ca.keeper import Keeper
from pilotpy_ca.server import ServerCertificate, certificate_handler, ticking
from pilotpy_ca.service import CertificateService
from pilotpy_ca.terms import Terms
from pilotpy_ca.tokens import TokenIssuer
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig

# Pods of one node, or of all nodes behind one gateway, may come from one address, and start at once.
_LIMITS: Final = FrontLimits(handshakes=1024, handshakes_per_address=256)
_TOKEN_LIFE: Final = timedelta(hours=1)  # as Kubernetes gives to projected tokens


class Keys(NamedTuple):
    """Where the keys of a mesh are, and what they are for."""

    folder: Path
    terms: Terms = Terms()
    cacerts: Path | None = None  # a signer of somebody else's, as in Secret cacerts
    projected: Path | None = None  # where roots and tokens for Pods are written; None: nowhere
    speed: float = 1.0  # how much faster tokens age; `terms` have been told already
    limits: FrontLimits = _LIMITS


class MeshAuthority:
    """An authority that lives with a server. Belongs to one event loop."""

    def __init__(self, keeper: Keeper, keys: Keys, server: Server) -> None:
        self._keeper = keeper
        self._server = server
        self._clock = server.instruments.clock
        authority = keeper.authority
        issuer = TokenIssuer(keeper.token_key(), life=_TOKEN_LIFE / keys.speed)
        self._projection = Projection(keys.projected, issuer) if keys.projected is not None else None
        self.front = Front(admission(authority, lambda: {self._mesh.trust_domain}), keys.limits)
        self._names: tuple[str, ...] = ()
        self._certificate: ServerCertificate | None = None
        self._believed: dict[bytes, frozenset[str]] = {}  # fingerprints of the roots in a collection, by its digest
        authenticators = (ClientCertificate(authority), folder_issuer(issuer, lambda: self._mesh.trust_domain))
        self.service = CertificateService(authority)
        handler = certificate_handler(self.service, authenticators, self.front.peer, self._clock.now)
        self.identified = Identified(self.front, Authenticators(authenticators, self._clock), (handler,))

    @property
    def _mesh(self) -> MeshConfig:
        return self._server.compiler.engine.ask(mesh_config)

    def follow(self, changes: Iterable[Change]) -> None:
        """Take note of Pods: those that are there get tokens, those that are not are waited for no longer."""
        changes = tuple(changes)
        for ref, _, _, new in changes:
            if ref.kind == "Pod" and new is None:
                self._keeper.ledger.gone(f"{ref.name}.{ref.namespace}")
        if self._projection is not None:
            self._projection.follow(changes)
            self._project_now()

    def keep(self, now: datetime) -> None:
        """Do what is due: the server's own certificate, roots and tokens in files. Raises errors of `CaError`."""
        names = server_names(self._server.settings, self._mesh)
        if self._certificate is None or names != self._names:
            self._certificate, self._names = ServerCertificate(self._keeper.authority, self.front, names), names
        self._certificate.keep(now)
        if self._projection is not None:
            authority = self._keeper.authority
            self._projection.keep(b"".join(authority.roots), authority.crl(now), now)

    def _project_now(self) -> None:
        """Write files as soon as there is something new to write. What fails is told, and tried again, by `keep`."""
        with contextlib.suppress(CaError):
            self.keep(self._clock.now())

    def publish(self) -> None:
        """Tell proxies the roots of now, and files what is revoked."""
        self._project_now()
        roots = tuple(root.decode() for root in self._keeper.authority.roots)
        self._server.compiler.submit([Put(ROOTS, ("",), roots)], ["roots of the certificate authority"])

    def trusted(self, holder: str, bundle: Tree) -> None:
        """A proxy has taken a bundle: evidence for a rotation that waits for it."""
        believed = self._believed.get(bundle.digest)
        if believed is None:
            configs = (ProxyConfig.FromString(bytes(one)) for one in bundle)
            pems = (pem.encode() for config in configs for pem in config.ca_certificates_pem)
            believed = frozenset(fingerprint(x509.load_pem_x509_certificate(pem)) for pem in pems)
            self._believed = {bundle.digest: believed}  # all proxies take the same, one after the other
        self._keeper.ledger.report(holder, believed)


@contextlib.asynccontextmanager
async def keeping(keys: Keys, server: Server) -> AsyncIterator[MeshAuthority]:
    """The authority of a mesh whose settings the server has read, as long as the context lasts.

    Raises `CaError` if the keys cannot be used, `OSError`.
    """
    clock = server.instruments.clock
    terms = replace(keys.terms, trust_domain=server.compiler.engine.ask(mesh_config).trust_domain)
    with opened(keys.folder, terms, keys.cacerts, clock.now) as keeper:
        authority = MeshAuthority(keeper, keys, server)
        metrics = AuthorityMetrics(keeper.authority, authority.service.counts, authority.front, clock)
        server.instruments.metrics.registry.register(metrics)
        server.edge.trusted = authority.trusted
        heard_no_more = keeper.authority.on_change(authority.publish)
        try:
            authority.keep(clock.now())
            authority.publish()
            async with controlled(keys.folder, keeper, clock.now):
                ticks = asyncio.create_task(ticking(keeper, authority.keep, clock.now), name="authority")
                try:
                    yield authority
                finally:
                    ticks.cancel()
                    await asyncio.gather(ticks, return_exceptions=True)
        finally:
            heard_no_more()
            server.instruments.metrics.registry.unregister(metrics)
            await authority.front.stop()
