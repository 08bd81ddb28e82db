"""A control plane that follows a folder: its changes into the compiler, its proxies served, until the context ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Engine
from pilotpy.mesh.inputs import puts
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding, Severity
from pilotpy.ops.instruments import instruments
from pilotpy.ops.logs import fields
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.jwks import Door, networks
from pilotpy.xds.key_keeper import keeping_keys
from pilotpy.xds.server import Server, serving

_LOG = logging.getLogger("pilotpy.folder")
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}
_ENDPOINTS = frozenset({"EndpointSlice", "Endpoints"})


@contextlib.asynccontextmanager
async def following(folder: Folder, settings: Settings) -> AsyncIterator[Server]:
    """A server that is ready: everything that the folder said first has been compiled. Raises ``OSError``."""
    async with contextlib.AsyncExitStack() as inside:
        server = await inside.enter_async_context(
            serving(Engine(), Answers(view, COLLECTIONS), settings, instruments())
        )
        changes = folder.watch()
        submit(server.compiler, await anext(changes))
        told = _told(folder, frozenset())
        keys = keeping_keys(server.compiler, Door(networks(settings.blocked_key_networks)), server.instruments.metrics)
        await inside.enter_async_context(keys)
        await server.open()
        follow = asyncio.create_task(_follow(folder, changes, server.compiler, told), name="folder")
        try:
            yield server
        finally:
            follow.cancel()
            await asyncio.gather(follow, return_exceptions=True)


def submit(compiler: LocalCompiler, changes: list[Change]) -> None:
    """Hand changes to the compiler; where workloads are, and nothing else, goes by the faster lane."""
    if changes:
        endpoints = all(change.ref.kind in _ENDPOINTS for change in changes)
        compiler.submit(puts(changes), [str(change.ref) for change in changes], endpoints=endpoints)


async def _follow(
    folder: Folder, changes: AsyncIterator[list[Change]], compiler: LocalCompiler, told: frozenset[Finding]
) -> None:
    async for batch in changes:
        submit(compiler, batch)
        told = _told(folder, told)


def _told(folder: Folder, before: frozenset[Finding]) -> frozenset[Finding]:
    """Log the findings that were not there before; return those that are there now."""
    for finding in folder.findings:
        if finding not in before:
            where = fields(code=finding.code, file=finding.file, line=finding.line, object=str(finding.ref or ""))
            _LOG.log(_LEVELS[finding.severity], finding.message, extra=where)
    return frozenset(folder.findings)
