"""A replica of the control plane as a process of its own: arguments are a kubeconfig and its namespace.

Prints the address of port 15012 once it serves; its leases are short, and so are the lives of its certificates:
one workload may have hundreds of them then, without being taken for one that asks without end.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pilotpy.follow import following
from pilotpy.gather import gathered
from pilotpy.kube.keys import ClusterKeys
from pilotpy.ops.instruments import instruments
from pilotpy.sources.folder import Folder
from pilotpy.sources.kubernetes.login import default_login
from tests.authority.plane import SETTINGS
from tests.kube.plane import QUICK, RHYTHM, TERMS


async def main(kubeconfig: str, system: str) -> None:
    login, watched_with = default_login(Path(kubeconfig)), instruments()
    settings, terms = SETTINGS._replace(system_namespace=system), replace(TERMS, default_life=timedelta(seconds=5))
    async with (
        gathered(Folder(()), login, settings, watched_with.metrics) as source,
        following(source, settings, ClusterKeys(login, terms, lease=QUICK, rhythm=RHYTHM), watched_with) as server,
    ):
        sys.stdout.write(f"{server.secure_address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
