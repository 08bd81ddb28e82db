"""A cluster as it is now, to lay files over: what `load` takes. The commands go in through this door too."""

from __future__ import annotations

import asyncio
import os

from pilotpy.gather import snapshot
from pilotpy.ops.settings import Settings
from pilotpy.sources.snapshot import Snapshot


def cluster(kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None) -> Snapshot:
    """Return what a cluster holds, and those that it names; what may not be listed is empty, and a finding.

    Logs in as kubectl does, and reads the variables of a control plane (``REVISION``). Raises ``Trouble`` where the
    cluster does not answer, within a minute, or not to who asks; ``Wrong`` where a variable cannot be read.
    """
    from pilotpy.sources.kubernetes.login import default_login  # late: most look at files alone

    return asyncio.run(snapshot(default_login(kubeconfig, context), Settings.of(os.environ)))
