"""Tokens for workloads where there is no Kubernetes: an issuer of its own, and the files that it projects.

The claims are those of a projected service account token, so that whoever reads one reads the other.
Source: pkg/serviceaccount/claims.go of kubernetes/kubernetes.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from pilotpy_ca.errors import StorageError
from pilotpy_ca.jwt import jwks_of, signed_token, verifying_keys
from pilotpy_ca.keys import PrivateKey
from pilotpy_ca.spiffe import SpiffeId, is_segment

AUDIENCE: Final = "istio-ca"
ISSUER: Final = "https://pilotpy.local"
_FRESH: Final = 0.8  # of its life: then the next one is written, as the kubelet does


class Workload(NamedTuple):
    """Who gets a token."""

    namespace: str
    service_account: str
    pod: str


def misnamed(workload: Workload) -> str:
    """Why a workload can have no token: a name that could not stand in an identity, or be a folder's. "" if it can."""
    try:
        SpiffeId.of("trust.domain", workload.namespace, workload.service_account)
    except ValueError as error:
        return str(error)
    return "" if is_segment(workload.pod) else f"not a name of a pod: {workload.pod[:300]!r}"


class TokenIssuer:
    """Issues tokens, each for one hour unless told otherwise."""

    def __init__(
        self, key: PrivateKey, issuer: str = ISSUER, audience: str = AUDIENCE, life: timedelta = timedelta(hours=1)
    ) -> None:
        self._key = key
        self.issuer = issuer
        self.audience = audience
        self.life = life
        self.keys = verifying_keys(jwks_of(key))

    def token(self, workload: Workload, now: datetime) -> str:
        """A token for a workload. Raises `ValueError` if it is `misnamed`."""
        namespace, account, pod = workload
        if reason := misnamed(workload):
            raise ValueError(reason)
        at = int(now.timestamp())
        return signed_token(
            self._key,
            {
                "aud": [self.audience],
                "exp": at + max(1, int(self.life.total_seconds())),
                "iat": at,
                "nbf": at,
                "iss": self.issuer,
                "jti": secrets.token_hex(16),
                "sub": f"system:serviceaccount:{namespace}:{account}",
                "kubernetes.io": {
                    "namespace": namespace,
                    "pod": {"name": pod},
                    "serviceaccount": {"name": account},
                },
            },
        )


class ProjectedTokens:
    """Keeps a file `<folder>/<namespace>/<pod>/istio-token` for each workload, 0600, and replaces it before it ends."""

    def __init__(self, folder: Path, issuer: TokenIssuer) -> None:
        self._folder = folder
        self._issuer = issuer
        self._written: dict[Workload, datetime] = {}

    def path(self, workload: Workload) -> Path:
        """Where a workload's token is."""
        return self._folder / workload.namespace / workload.pod / "istio-token"

    def project(self, workloads: Iterable[Workload], now: datetime) -> None:
        """Have a fresh token for each of these, and none for others. To be called whenever either changes.

        Raises `StorageError`, and `ValueError` for one that is `misnamed`; what was written stays.
        """
        wanted = set(workloads)
        for workload in sorted(self._written.keys() - wanted):
            if all(self.path(other) != self.path(workload) for other in wanted):
                shutil.rmtree(self.path(workload).parent, ignore_errors=True)
            del self._written[workload]
        for workload in sorted(wanted):
            written = self._written.get(workload)
            if written is None or not timedelta(0) <= now - written < self._issuer.life * _FRESH:
                self._write(workload, now)
                self._written[workload] = now

    def _write(self, workload: Workload, now: datetime) -> None:
        path, token = self.path(workload), self._issuer.token(workload, now)
        scratch = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                scratch.unlink()
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(token)
            scratch.replace(path)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
