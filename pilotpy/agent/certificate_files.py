"""A workload's certificate in files, for programs that ask for that. Each file is replaced in one step.

Source  istio/istio ``security/pkg/nodeagent/cache`` (OUTPUT_CERTS).
"""

from __future__ import annotations

import os
from pathlib import Path

from pilotpy.agent.held import Held


def write(held: Held, folder: Path) -> None:
    """Write chain, key and roots; the key for its owner's eyes only. Raises OSError."""
    if held.certificate is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "key.pem", held.certificate.key.pem(), 0o600)
    _replace(folder / "cert-chain.pem", held.certificate.chain, 0o644)
    _replace(folder / "root-cert.pem", held.roots, 0o644)


def _replace(file: Path, content: bytes, mode: int) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    fresh.replace(file)
