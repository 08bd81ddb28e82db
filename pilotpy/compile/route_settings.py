"""From MeshConfig to the little of it that routes depend on, so that other edits of it leave them alone."""

from __future__ import annotations

from typing import NamedTuple

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.model.virtual_service import HTTPRetry


class RouteSettings(NamedTuple):
    """What the whole mesh has in common about routes."""

    retries: HTTPRetry | None  # for rules that say nothing; None: Istio's own
    attempts_counted: bool  # requests say to their receiver which attempt they are
    host_told: bool  # requests with a rewritten authority tell the one before (x-forwarded-host)


@query
def route_settings(q: Asking) -> RouteSettings:
    """The settings in force."""
    mesh = q(mesh_config)
    headers = mesh.default_config.proxy_headers
    attempts = headers.attempt_count if headers else None
    host = headers.x_forwarded_host if headers else None
    return RouteSettings(
        retries=mesh.default_http_retry_policy,
        attempts_counted=not (attempts and attempts.disabled),
        host_told=bool(host and host.enabled),
    )
