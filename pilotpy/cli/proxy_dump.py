"""Where a proxy's configuration is read from, as commands name it: a lab's pod, a file, an Envoy, a control plane."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import typer

from pilotpy.cli.page import page
from pilotpy.explain.config_dump import ConfigDump, Unreadable, host_statuses, is_of_hosts

PodName = Annotated[str, typer.Argument(help="A pod, or its workload.", metavar="[POD[.NAMESPACE]]")]
DumpFile = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="A dump: Envoy's /config_dump?include_eds, or - to read it.", metavar="FILE"),
]
AdminAddress = Annotated[
    str, typer.Option("--admin", help="An Envoy's admin port, as `kubectl port-forward` gives it.", metavar="HOST:PORT")
]
DebugAddress = Annotated[
    str,
    typer.Option("--debug-address", help="The HTTP port of a control plane: 8080 or 15014.", metavar="HOST:PORT|URL"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token",
        help="Who asks, for a control plane of another machine: a service account's.",
        metavar="FILE",
        exists=True,
    ),
]
_DUMP = "config_dump?include_eds"


class Nowhere(Exception):
    """It was not said where to look, or too much; says what may be said."""


class ControlPlane(NamedTuple):
    """Whom to ask what proxies are sent; without an address, a lab's."""

    address: str = ""  # of its HTTP port
    token: Path | None = None
    xds_address: str = ""  # in its place, of ADS over TLS
    roots: Path | None = None  # that vouch for it there

    def page(self, path: str) -> str:
        """A page, such as "debug/syncz". Raises ``OSError`` and ``Nowhere``."""
        token = self.token.read_text().strip() if self.token else ""
        if self.xds_address:
            if self.address or not token or self.roots is None:
                raise Nowhere("--xds-address takes --token and --root-cert, and no --debug-address")
            from pilotpy.cli.xds_page import xds_page

            return xds_page(self.xds_address, path.removeprefix("debug/"), token, self.roots.read_bytes())
        if self.address:
            return page(self.address, path, token=token)
        from pilotpy.lab import ask, commands

        try:
            return ask.plane_page(path)
        except commands.NotRunning as error:
            raise Nowhere(f"{error}; or name a control plane: --debug-address HOST:PORT") from None

    def proxy(self, pod: str) -> str:
        """What it calls a pod, which in a lab may be named by its workload. Raises ``Nowhere``."""
        if self.address or self.xds_address:
            return pod
        from pilotpy.lab import ask, commands

        try:
            return ask.full_name(pod)
        except commands.NotRunning as error:
            raise Nowhere(str(error)) from None

    def pod_of(self, workload: str) -> str | None:
        """The first proxy of a workload WORKLOAD[.NAMESPACE], as POD.NAMESPACE; None: there is none, or nobody says."""
        wanted, _, namespace = workload.partition(".")
        try:
            proxies = sorted(entry["proxy"] for entry in json.loads(self.page("debug/syncz")))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        parted = ((proxy, proxy.rpartition(".")) for proxy in proxies)
        return next(
            (proxy for proxy, (pod, _, of) in parted if pod.startswith(f"{wanted}-") and namespace in {"", of}), None
        )

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.address or self.xds_address or "lab"


class Source(NamedTuple):
    """One proxy, and where its configuration is to be had."""

    pod: str = ""
    file: Path | None = None
    admin: str = ""
    plane: ControlPlane | None = None  # what it is sent, in place of what it has

    def dump(self) -> ConfigDump:
        """Its configuration, with endpoints if there are. Raises ``Unreadable``, ``Nowhere`` and ``OSError``."""
        if self.plane is not None:
            if not self.pod:
                raise Nowhere("say whose configuration: POD.NAMESPACE")
            try:
                return _sent(self.plane, self.pod)
            except OSError:
                if (pod := self.plane.pod_of(self.pod)) is None:
                    raise
                return _sent(self.plane, pod)
        return ConfigDump.of(self._read(_DUMP))

    def hosts(self) -> list[Mapping[str, Any]] | None:
        """Its endpoints by cluster, with their health as it sees it; None: there is but a dump. Raises as ``dump``."""
        if self.plane is not None:
            return None
        if self.file is not None:
            text = self._read("")
            return host_statuses(text) if is_of_hosts(text) else None
        return host_statuses(self._read("clusters?format=json"))

    def _read(self, path: str) -> str:
        if sum(map(bool, (self.file, self.admin))) > 1:
            raise Nowhere("name either --file or --admin")
        if self.file is not None:
            try:
                return _standard_input() if str(self.file) == "-" else self.file.read_text()
            except UnicodeDecodeError:
                raise Unreadable(f"{self.file}: no text") from None
        if self.admin:
            return page(self.admin, path)
        if not self.pod:
            raise Nowhere("name a pod of the lab, or --file, --admin or --debug-address")
        from pilotpy.lab import ask, commands

        try:
            return ask.envoy_page(self.pod, path)
        except commands.NotRunning as error:
            raise Nowhere(f"{error}; for an Envoy elsewhere: --file, --admin or --debug-address") from None


def _sent(plane: ControlPlane, proxy: str) -> ConfigDump:
    return ConfigDump.of(plane.page(f"debug/config_dump?proxyID={quote(proxy)}&include_eds"))


_read_once: list[str] = []


def _standard_input() -> str:
    if not _read_once:
        _read_once.append(sys.stdin.read())
    return _read_once[0]
