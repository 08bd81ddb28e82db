"""The way from an agent to its control plane: a pinned root, a token that is read anew for each call.

Source  istio/istio ``pkg/istio-agent/xds_proxy.go``, ``security/pkg/nodeagent/caclient/providers/citadel/client.go``.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import grpc.aio
import msgspec

Metadata = tuple[tuple[str, str], ...]


class Unreachable(Exception):
    """The control plane did not do what it was asked for; holds a status or a system's own words, never a token."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where a control plane (or an authority) is, and what proves who is who."""

    address: str  # HOST:PORT
    roots: Path | None = None  # PEM that its certificate must lead to; None: the system's own roots
    server_name: str = ""  # that its certificate must be for; empty: the host of the address
    token: Path | None = None  # of the workload; without one, or while the file is missing, none is sent
    certificates: Path | None = None  # folder of cert-chain.pem and key.pem to show instead of a token
    cluster: str = ""  # that the workload runs in
    headers: Metadata = ()
    plaintext: bool = False  # for a port without TLS; nothing secret is sent there

    def dialled(self) -> grpc.aio.Channel:
        """A connection of its own, which opens with the first call. Raises Unreachable for files that are not there."""
        options: list[tuple[str, int | str]] = [
            ("grpc.use_local_subchannel_pool", 1),  # files are read anew for each connection
            ("grpc.max_receive_message_length", -1),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.enable_retries", 0),
        ]
        if self.plaintext:
            return grpc.aio.insecure_channel(self.address, options)
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        try:
            roots = self.roots.read_bytes() if self.roots else None
            own = self._own_certificate()
        except OSError as missing:
            raise Unreachable(f"cannot read {missing.filename}: {missing.strerror}") from missing
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(roots, *own), options)

    def metadata(self) -> Metadata:
        """What goes with a call. Raises Unreachable for a token that cannot be one."""
        known = (*self.headers, ("clusterid", self.cluster)) if self.cluster else self.headers
        if self.token is None or self.plaintext:
            return known
        try:
            token = self.token.read_text("ascii").strip()
        except FileNotFoundError:
            return known
        except (OSError, UnicodeDecodeError) as unreadable:
            raise Unreachable(f"cannot read the token in {self.token}") from unreadable
        if not token.isprintable() or " " in token:
            raise Unreachable(f"what is in {self.token} is not a token")
        return (*known, ("authorization", f"Bearer {token}")) if token else known

    def _own_certificate(self) -> tuple[bytes | None, bytes | None]:
        """Key and chain, read afresh; None where there are none yet."""
        folder = self.certificates
        if folder is None or not (folder / "cert-chain.pem").exists():
            return None, None
        return (folder / "key.pem").read_bytes(), (folder / "cert-chain.pem").read_bytes()
