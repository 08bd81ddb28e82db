"""From the name of a CUSTOM policy's provider to what can be asked, or to why it cannot.

Source: istio/istio pilot/pkg/security/authz/builder/extauthz.go.
"""

from __future__ import annotations

from typing import NamedTuple

from pilotpy.compile.features.ext_authz import Asked, Authorizer
from pilotpy.compile.header_text import unfit_format, unfit_name
from pilotpy.engine import Asking, query
from pilotpy.mesh.providers import extension_provider, provider_host
from pilotpy.model.extension_provider import EnvoyExternalAuthorizationHttpProvider
from pilotpy.schema.validation.extension_provider import extension_providers
from pilotpy_protos.envoy.type.v3.http_status_pb2 import StatusCode


class Unfit(NamedTuple):
    """Why nobody can be asked."""

    reason: str
    hint: str


@query
def authorizer(q: Asking, name: str) -> Authorizer | Unfit:
    """The provider of a name, if it can be asked."""
    provider = q(extension_provider, name)
    if provider is None:
        return Unfit(f"MeshConfig has no extension provider {name!r}", "Add it to extensionProviders, or name another")
    asked = provider.envoy_ext_authz_http or provider.envoy_ext_authz_grpc
    if asked is None:
        hint = "Name a provider with envoyExtAuthzHttp or envoyExtAuthzGrpc"
        return Unfit(f"The extension provider {name!r} does not authorize", hint)
    wrong = next(extension_providers((provider,), "extensionProviders"), None)
    flaw = wrong.message if wrong else _flaw(asked)
    if flaw:
        return Unfit(f"The extension provider {name!r} is not usable: {flaw}", "Mend it in extensionProviders")
    host = q(provider_host, asked.service)
    if not host:
        reason = f"The service {asked.service!r} of the extension provider {name!r} is not there"
        return Unfit(reason, "Name a service of the mesh in extensionProviders, or add a ServiceEntry for it")
    return Authorizer(name, host, asked)


def _flaw(asked: Asked) -> str:
    """What Envoy would refuse and Istio's admission does not look at; "" if nothing."""
    if asked.status_on_error and int(asked.status_on_error) not in StatusCode.values():
        return f"statusOnError {asked.status_on_error} is no status of Envoy's"
    if isinstance(asked, EnvoyExternalAuthorizationHttpProvider):
        for name, value in asked.include_additional_headers_in_check.items():
            if why := unfit_name(name) or unfit_format(value):
                return f"the additional header {name!r} {why}"
            if name.startswith(":") or name.lower() == "host":
                return f"the header {name!r} cannot be added"
    body = asked.include_request_body_in_check
    if body is not None and not body.max_request_bytes:
        return "maxRequestBytes is missing"
    return ""
