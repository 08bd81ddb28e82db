"""What Pods are given to prove who they are where there is no kubelet: files in a folder, kept fresh.

`root-cert.pem` holds the roots that a control plane's certificate leads to, `crl/ca-crl.pem` lists of what is revoked,
`<namespace>/<pod>/istio-token` a token for each Pod, as Kubernetes projects them into it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from pilotpy.model.resource import Ref
from pilotpy.ops.logs import fields
from pilotpy.sources.change import Change
from pilotpy_ca.errors import StorageError
from pilotpy_ca.tokens import ProjectedTokens, TokenIssuer, Workload, misnamed

_LOG: Final = logging.getLogger("pilotpy.authority")
_ROOTS: Final = "root-cert.pem"
_REVOKED: Final = "crl/ca-crl.pem"


class Projection:
    """Follows the Pods of a folder."""

    def __init__(self, folder: Path, issuer: TokenIssuer) -> None:
        self._folder = folder
        self._tokens = ProjectedTokens(folder, issuer)
        self._pods: dict[Ref, Workload] = {}
        self._written: dict[str, bytes] = {}

    def follow(self, changes: Iterable[Change]) -> None:
        """Take note of Pods that came, changed or went."""
        for ref, _, _, pod in changes:
            if ref.kind != "Pod":
                continue
            if pod is None:
                self._pods.pop(ref, None)
            else:
                account = pod.spec.service_account_name or pod.spec.service_account or "default"
                self._take(ref, Workload(ref.namespace, account, ref.name))

    def _take(self, ref: Ref, workload: Workload) -> None:
        self._pods.pop(ref, None)
        if reason := misnamed(workload):
            _LOG.warning("a Pod gets no token", extra=fields(pod=str(ref), reason=reason))
        else:
            self._pods[ref] = workload

    def keep(self, roots: bytes, revoked: bytes, now: datetime) -> None:
        """Write what is missing, old or different. To be called about once a second. Raises `StorageError`."""
        self._write(_ROOTS, roots)
        self._write(_REVOKED, revoked)
        self._tokens.project(self._pods.values(), now)

    def _write(self, name: str, content: bytes) -> None:
        """What was there before this process began is replaced too, by nothing if need be."""
        if content == self._written.get(name):
            return
        path = self._folder / name
        scratch = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            scratch.write_bytes(content)
            scratch.replace(path)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        self._written[name] = content
