"""From a provider of external authorization to the filters that ask it, each after one that marks what to ask about.

The marking filter leaves the name of the CUSTOM rule that applies in metadata, the asking one is enabled by that name.
Source: istio/istio pilot/pkg/security/authz/builder/extauthz.go; Envoy's ext_authz.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, NamedTuple

from pilotpy.compile.features.authorization import FILTER, STAT_PREFIX, Rules, as_filter, marking
from pilotpy.compile.features.rbac_rules import Wire
from pilotpy.compile.features.rbac_values import metadata, text
from pilotpy.compile.naming import cluster_name
from pilotpy.model.extension_provider import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
)
from pilotpy_protos.envoy.config.core.v3.base_pb2 import HeaderValue
from pilotpy_protos.envoy.config.core.v3.config_source_pb2 import ApiVersion
from pilotpy_protos.envoy.config.core.v3.grpc_service_pb2 import GrpcService
from pilotpy_protos.envoy.config.core.v3.http_uri_pb2 import HttpUri
from pilotpy_protos.envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import (
    AuthorizationRequest,
    AuthorizationResponse,
    BufferSettings,
    ExtAuthz,
    HttpService,
)
from pilotpy_protos.envoy.extensions.filters.network.ext_authz.v3.ext_authz_pb2 import ExtAuthz as NetworkExtAuthz
from pilotpy_protos.envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import ListStringMatcher, StringMatcher
from pilotpy_protos.envoy.type.matcher.v3.value_pb2 import ValueMatcher
from pilotpy_protos.envoy.type.v3.http_status_pb2 import HttpStatus, StatusCode

MARK: Final = "istio-ext-authz-"
BAD: Final = "-deny-due-to-bad-CUSTOM-action"

_TRIAL: Final = "istio_ext_authz_"
_TIMEOUT: Final = timedelta(seconds=600)

Asked = EnvoyExternalAuthorizationHttpProvider | EnvoyExternalAuthorizationGrpcProvider


class Authorizer(NamedTuple):
    """A provider whose service is known."""

    name: str
    host: str
    asked: Asked

    @property
    def speaks_tcp(self) -> bool:
        """Whether it can be asked about connections too."""
        return isinstance(self.asked, EnvoyExternalAuthorizationGrpcProvider)


def asking(authorizer: Authorizer, rules: Rules, wire: Wire) -> tuple[bytes, ...]:
    """The two filters, in wire format; none where the authorizer cannot be asked about such connections."""
    if wire is Wire.TCP and not authorizer.speaks_tcp:
        return ()
    return (marking(rules, wire, _TRIAL), _ext_authz(authorizer, wire))


def _ext_authz(authorizer: Authorizer, wire: Wire) -> bytes:
    asked = authorizer.asked
    if isinstance(asked, EnvoyExternalAuthorizationHttpProvider):
        config = _over_http(authorizer, asked)
    elif wire is Wire.HTTP:
        config = ExtAuthz(grpc_service=_grpc(authorizer, asked))
    else:
        network = NetworkExtAuthz(
            stat_prefix=STAT_PREFIX,
            grpc_service=_grpc(authorizer, asked),
            failure_mode_allow=asked.fail_open,
            transport_api_version=ApiVersion.V3,
            filter_enabled_metadata=_enabled(authorizer.name, wire),
        )
        return as_filter("envoy.filters.network.ext_authz", network, wire)
    config.failure_mode_allow = asked.fail_open
    config.transport_api_version = ApiVersion.V3
    config.clear_route_cache = asked.clear_route_cache
    config.filter_enabled_metadata.CopyFrom(_enabled(authorizer.name, wire))
    if asked.status_on_error:
        config.status_on_error.CopyFrom(HttpStatus(code=StatusCode.Name(int(asked.status_on_error))))
    if asked.include_request_body_in_check is not None:
        config.with_request_body.CopyFrom(_body(asked.include_request_body_in_check))
    return as_filter("envoy.filters.http.ext_authz", config, wire)


def _over_http(authorizer: Authorizer, asked: EnvoyExternalAuthorizationHttpProvider) -> ExtAuthz:
    service = HttpService(
        server_uri=HttpUri(
            uri=f"http://{authorizer.host}",  # required, and not used
            cluster=cluster_name(asked.port, "", authorizer.host),
            timeout=asked.timeout or _TIMEOUT,
        ),
        path_prefix=asked.path_prefix,
    )
    added = asked.include_additional_headers_in_check
    if added:
        headers = [HeaderValue(key=name, value=added[name]) for name in sorted(added)]
        service.authorization_request.CopyFrom(AuthorizationRequest(headers_to_add=headers))
    upstream, on_deny, on_allow = (
        asked.headers_to_upstream_on_allow,
        asked.headers_to_downstream_on_deny,
        asked.headers_to_downstream_on_allow,
    )
    if upstream or on_deny or on_allow:
        service.authorization_response.CopyFrom(
            AuthorizationResponse(
                allowed_upstream_headers=_names(upstream),
                allowed_client_headers=_names(on_deny),
                allowed_client_headers_on_success=_names(on_allow),
            )
        )
    sent = asked.include_request_headers_in_check or asked.include_headers_in_check
    return ExtAuthz(http_service=service, allowed_headers=_names(sent))


def _grpc(authorizer: Authorizer, asked: EnvoyExternalAuthorizationGrpcProvider) -> GrpcService:
    cluster = cluster_name(asked.port, "", authorizer.host)
    envoy = GrpcService.EnvoyGrpc(cluster_name=cluster, authority=authorizer.host)
    return GrpcService(envoy_grpc=envoy, timeout=asked.timeout or _TIMEOUT)


def _body(body: EnvoyExternalAuthorizationRequestBody) -> BufferSettings:
    return BufferSettings(
        max_request_bytes=body.max_request_bytes,
        allow_partial_message=body.allow_partial_message,
        pack_as_bytes=body.pack_as_bytes,
    )


def _names(patterns: Iterable[str]) -> ListStringMatcher | None:
    """Names of headers, in whatever case; None for none."""
    found = [_name(pattern) for pattern in patterns]
    return ListStringMatcher(patterns=found) if found else None


def _name(pattern: str) -> StringMatcher:
    return text(pattern, ignore_case=True)


def _enabled(provider: str, wire: Wire) -> MetadataMatcher:
    # As istiod: without an end, so that a provider "a" is asked about what is for "a-b" too.
    mark = ValueMatcher(string_match=StringMatcher(prefix=MARK + provider))
    return metadata(FILTER[wire], (f"{_TRIAL}shadow_effective_policy_id",), mark)
