"""An API server for a lab: kube-apiserver and etcd, on loopback, with an authority of their own.

How they are started is the same for whoever starts them, be it a lab or a test. No controller, scheduler or node runs
beside them: that is a lab. Source: kubernetes cmd/kube-apiserver (flags), etcd server/etcdmain (flags).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from pilotpy.lab.cluster.credentials import Authority, written_key
from pilotpy.lab.network import GATEWAY
from pilotpy.lab.process import Pause, Process, Program, start

HOST: Final = "127.0.0.1"
_ETCD_PORT: Final = 2379
_GRACE: Final = timedelta(seconds=1)
_log = logging.getLogger(__name__)


def etcd_command(assets: Path, folder: Path, url: str) -> list[str]:
    """How etcd is started. `folder`: of its data; `url`: that it serves."""
    return [
        str(assets / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def server_command(assets: Path, authority: Authority, etcd_url: str, port: int, advertised: str) -> list[str]:
    """How kube-apiserver is started, on a port of loopback; its files are beside the authority's.

    ``advertised``: where Service kubernetes says that it is.
    """
    certificate, key = authority.issue("kube-apiserver", address=HOST)
    tokens = written_key(authority.folder / "tokens.key")
    return [
        str(assets / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={HOST}",
        f"--advertise-address={advertised}",
        f"--secure-port={port}",
        f"--cert-dir={authority.folder / 'apiserver'}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={authority.certificate}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={tokens}",
        f"--service-account-signing-key-file={tokens}",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--allow-privileged",
    ]


def kubeconfig(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Path:
    """Write a kubeconfig with one context, for its owner alone."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": dict(cluster)}],
        "users": [{"name": "user", "user": dict(user)}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
        "current-context": "lab",
    }
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


class ApiServer:
    """The two of them, started again when one ends."""

    def __init__(self, assets: Path, folder: Path, port: int) -> None:
        """`folder`: of their files, made anew."""
        folder.mkdir(mode=0o700)
        self.folder = folder
        authority = Authority(folder)
        url = f"http://{HOST}:{_ETCD_PORT}"
        self._commands = {
            "etcd": etcd_command(assets, folder, url),
            "kube-apiserver": server_command(assets, authority, url, port, GATEWAY),
        }
        certificate, key = authority.issue("admin", "system:masters")
        self.kubeconfig = kubeconfig(
            folder / "kubeconfig",
            {"server": f"https://{HOST}:{port}", "certificate-authority": str(authority.certificate)},
            {"client-certificate": str(certificate), "client-key": str(key)},
        )
        self._running: dict[str, Process] = {}

    async def run(self) -> None:
        """Run both until cancelled, then end them."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, command in self._commands.items():
                    tasks.create_task(self._keep(name, command))
        finally:
            for name in reversed(self._commands):  # who talks to the other goes first
                if name in self._running:
                    await self._running.pop(name).end(_GRACE)

    def process_ids(self) -> frozenset[int]:
        """Of those that must still be waited for."""
        return frozenset(process.pid for process in self._running.values())

    def log(self, name: str) -> Path:
        """What one of them says."""
        return self.folder / f"{name}.log"

    async def _keep(self, name: str, command: Sequence[str]) -> None:
        pause = Pause()
        while True:
            program = Program(tuple(command), os.environ, self.folder, self.log(name))
            self._running[name] = process = start(program)
            status = await process.ended()
            del self._running[name]
            _log.warning("%s ended with status %d, see %s; it is started again", name, status, self.log(name))
            await asyncio.sleep(pause.next(asyncio.get_running_loop().time()))
