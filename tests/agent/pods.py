"""Settings of an agent for tests: free ports, everything in one folder."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pilotpy.agent.identity import Terms
from pilotpy.agent.key import KeyType
from pilotpy.agent.settings import AgentSettings
from pilotpy.agent.upstream import Upstream

WEB = "spiffe://cluster.local/ns/default/sa/web"


@contextmanager
def short_folder():
    """A folder whose path is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="agent") as folder:
        yield Path(folder)


def settings(plane, folder: Path, **changes) -> AgentSettings:
    """For the workload "web", whose control plane is ``plane``."""
    upstream = Upstream(address=plane.address, roots=plane.root_file, token=plane.token_file, cluster="Kubernetes")
    made = AgentSettings(
        terms=Terms(identity=WEB, key_type=KeyType.P256),
        plane=upstream,
        authority=upstream,
        xds_socket=folder / "proxy" / "XDS",
        sds_socket=folder / "sds" / "socket",
        revoked=folder / "crl.pem",
        status_port=0,
    )
    return msgspec.structs.replace(made, **changes)
