"""Ways to log in to an API server: by a kubeconfig, with all that it may name, or as the Pod that this is.

Source  kubernetes.aio (config/).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from yaml import YAMLError

from pilotpy.sources.kubernetes.trouble import Unusable

Login = Callable[[], Awaitable[Configuration]]
"""What logs in, each time that it is asked to. Raises `Unusable`."""


def default_login(kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None) -> Login:
    """As kubectl does: by the kubeconfig that is named, by KUBECONFIG, as the Pod that this is, by ~/.kube/config."""

    async def login() -> Configuration:
        configuration = Configuration()
        if kubeconfig is None and not _is_anywhere():
            raise Unusable(
                "no cluster to log in to: name a file with --kubeconfig or KUBECONFIG, or write ~/.kube/config"
            )
        with _usable():
            if kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(configuration)
            else:
                await config.load_kube_config(
                    None if kubeconfig is None else os.fspath(kubeconfig),
                    context,
                    client_configuration=configuration,
                    persist_config=False,
                )
        return configuration

    return login


def _is_anywhere() -> bool:
    """Whether there is anything that says how to log in."""
    files = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(file).expanduser().is_file() for file in files)


def written_login(kubeconfig: Mapping[str, Any]) -> Login:
    """By a kubeconfig that is at hand, decoded; whoever uses it vouches for what it makes this machine do."""

    async def login() -> Configuration:
        configuration = Configuration()
        with _usable():
            await config.load_kube_config_from_dict(dict(kubeconfig), client_configuration=configuration)
        return configuration

    return login


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    # The loader stumbles over what is not as it expects, each thing in its own way.
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, YAMLError) as error:
        raise Unusable(f"cannot log in to the API server: {error}") from error
