"""What a running lab leaves for commands from another shell: who it is, and how its pods are entered.

One file, replaced as a whole, beside a lock that the lab holds until its last breath: whether one runs is asked of
the kernel, not of the file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

_NAME = "lab.json"
_LOCK = "lock"
LOG = "lab.log"
PLANE_LOG = "control-plane.log"
AGENTS_LOG = "agents.log"
"""What a lab without a terminal says, what its control plane does, what its agents do; kept until the next begins."""
KEYS, PROJECTED, PODS, API_SERVER = "ca", "projected", "pods", "api-server"
"""Folders: the keys of the authority; roots, revoked certificates and tokens; what each pod's Envoy has open; the files
of an API server of the lab's own."""


class PodRecord(msgspec.Struct, frozen=True):
    """A pod of a running lab."""

    name: str
    namespace: str
    address: str
    service_account: str
    ports: tuple[int, ...]
    state: str  # starting, ready
    network: int  # file descriptor of the lab's process that holds it
    hosts: str  # file that it sees as /etc/hosts
    sidecar: bool


class State(msgspec.Struct, frozen=True):
    """A running lab."""

    pid: int  # of its process, as the machine counts
    own_user: bool  # it lives in a user namespace: enter that first
    folders: tuple[str, ...]
    urls: Mapping[str, str]  # what can be reached from the machine: service -> URL
    pods: tuple[PodRecord, ...]  # sorted by namespace and name
    settled: bool  # every pod that is wanted is ready
    keys: str  # folder of the authority: `pilotpy ca` takes it as --dir; "": the keys are in a cluster
    plane: bool  # the control plane runs
    kubeconfig: str = ""  # of the API server that the lab goes by; "": there is none, or it is kubectl's own


class Taken(Exception):
    """Another lab of this user runs already."""


def folder() -> Path:
    """Where this user's lab keeps its files; made if need be. Raises OSError."""
    for candidate in _candidates():
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if candidate.stat().st_uid == os.geteuid() and os.access(candidate, os.W_OK):
            return candidate
    raise OSError("no folder for the lab's files: set XDG_RUNTIME_DIR to one that is yours")


def lock(place: Path) -> int:
    """Take the lab of this user. Returns a descriptor: whoever inherits it holds the lock. Raises Taken."""
    held = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise Taken("a lab is running already; `pilotpy lab down` ends it") from None
    return held


def write(place: Path, state: State) -> None:
    """Publish what is so now."""
    new = place / f".{_NAME}"
    new.write_bytes(msgspec.json.encode(state))
    new.replace(place / _NAME)


def is_held(place: Path) -> bool:
    """Whether a lab runs, or is about to."""
    try:
        os.close(lock(place))
    except Taken:
        return True
    return False


def read(place: Path) -> State | None:
    """The running lab; None: there is none (yet)."""
    try:
        held = lock(place)
    except Taken:
        try:
            return msgspec.json.decode((place / _NAME).read_bytes(), type=State)
        except FileNotFoundError:
            return None
    clean(place)
    os.close(held)
    return None


def clean(place: Path) -> None:
    """Remove what an earlier lab left. Only for who holds the lock."""
    for file in place.iterdir():
        if file.name in {KEYS, PROJECTED, PODS, API_SERVER}:
            shutil.rmtree(file, ignore_errors=True)
        elif file.name not in {_LOCK, LOG, PLANE_LOG, AGENTS_LOG} and file.is_file():
            file.unlink()


def _candidates() -> list[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    home = os.environ.get("HOME")
    return [
        *([Path(runtime) / "pilotpy"] if runtime else []),
        *([Path(home) / ".local" / "state" / "pilotpy"] if home else []),
        Path(tempfile.gettempdir()) / f"pilotpy-{os.geteuid()}",
    ]
