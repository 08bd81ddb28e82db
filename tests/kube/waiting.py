"""Waiting for what becomes true a little later."""

import time
from collections.abc import Callable
from typing import Any

from tests.kube.cluster import Refused


def eventually(condition: Callable[[], Any], patience: float = 20) -> Any:
    """What a condition says, as soon as that is something; a refusal of the API server counts as nothing yet."""
    deadline = time.monotonic() + patience
    while True:
        try:
            found = condition()
        except Refused:
            if time.monotonic() > deadline:
                raise
            found = None
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
