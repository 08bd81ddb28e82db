"""Where kube-apiserver and etcd are: as envtest has them, or as `make kube-assets` builds them."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

PROGRAMS = ("kube-apiserver", "etcd")
_HOME = Path(__file__).parents[3] / "tests" / "kube" / "apiserver"
_SOURCES = [_HOME / name for name in ("go.mod", "go.sum", "main.go")]


class Missing(OSError):
    """They are nowhere; the message says how to get them."""


def folder() -> Path:
    """The folder that holds both. Raises Missing."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    found = Path(named) if named else _built()
    if found is not None and all(os.access(found / name, os.X_OK) for name in PROGRAMS):
        return found
    raise Missing(
        f"no {' and '.join(PROGRAMS)} in {'KUBEBUILDER_ASSETS' if named else 'the cache'}:"
        " `make kube-assets` builds them (minutes, needs Go); or point KUBEBUILDER_ASSETS at those of envtest"
    )


def _built() -> Path | None:
    """As the Makefile calls it; None: this is no checkout."""
    if not all(path.is_file() for path in _SOURCES):
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    content = b"".join(path.read_bytes() for path in _SOURCES)
    return cache / "pilotpy" / f"kube-{sha256(content).hexdigest()[:16]}"
