"""From a ProxyConfig to the tracing of a manager of HTTP: what is sampled, and what each span is tagged with.

The tracer itself is the one of the bootstrap. Tags that tell who the proxy is are read from its environment, so that
all proxies share their listeners; istiod writes the values out instead. Source: istiod's core/tracing.go.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from pilotpy.compile.pieces import number
from pilotpy.model.mesh_proxy_config import CustomTag
from pilotpy.model.mesh_proxy_config import Tracing as Asked
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from pilotpy_protos.envoy.type.metadata.v3.metadata_pb2 import MetadataKey, MetadataKind
from pilotpy_protos.envoy.type.tracing.v3.custom_tag_pb2 import CustomTag as EnvoyTag
from pilotpy_protos.envoy.type.v3.percent_pb2 import Percent

# Istio's injected sidecars have these in their environment.
_WHO = {
    "istio.canonical_revision": ("CANONICAL_REVISION", "latest"),
    "istio.canonical_service": ("CANONICAL_SERVICE", "unknown"),
    "istio.cluster_id": ("ISTIO_META_CLUSTER_ID", "unknown"),
    "istio.mesh_id": ("ISTIO_META_MESH_ID", "unknown"),
    "istio.namespace": ("POD_NAMESPACE", "default"),
}
# What a policy on trial would have done, as the filter rbac leaves it.
_ON_TRIAL = {
    "istio.authorization.dry_run.allow_policy.name": "istio_dry_run_allow_shadow_effective_policy_id",
    "istio.authorization.dry_run.allow_policy.result": "istio_dry_run_allow_shadow_engine_result",
    "istio.authorization.dry_run.deny_policy.name": "istio_dry_run_deny_shadow_effective_policy_id",
    "istio.authorization.dry_run.deny_policy.result": "istio_dry_run_deny_shadow_engine_result",
}


class Tag(NamedTuple):
    """A tag that the mesh's configuration adds to spans. Exactly one of the sources is set."""

    name: str
    literal: str = ""
    environment: str = ""
    header: str = ""
    default: str = ""  # for a variable or header that is absent


class Tracing(NamedTuple):
    """How requests are traced; a value, so that it can be compared and be part of a key."""

    sampled_percent: float = 1.0
    identity: bool = True  # tag spans with who the proxy is, and with policies on trial
    tags: tuple[Tag, ...] = ()  # sorted by name
    max_path_length: int = 0  # of the tag with the request's path; 0: Envoy's own limit


def tracing_of(asked: Asked | None) -> Tracing:
    """How a ProxyConfig wants requests traced; None: as usual."""
    if asked is None:
        return Tracing()
    return Tracing(
        sampled_percent=min(asked.sampling, 100.0) or Tracing().sampled_percent,
        identity=asked.enable_istio_tags is not False,
        tags=tuple(_tag(name, asked.custom_tags[name]) for name in sorted(asked.custom_tags)),
        max_path_length=asked.max_path_tag_length,
    )


def _tag(name: str, tag: CustomTag) -> Tag:
    if tag.header is not None:
        return Tag(name, header=tag.header.name, default=tag.header.default_value)
    if tag.environment is not None:
        return Tag(name, environment=tag.environment.name, default=tag.environment.default_value)
    return Tag(name, literal=tag.literal.value if tag.literal is not None else "")


def tracing_config(tracing: Tracing) -> HttpConnectionManager.Tracing:
    """The manager's tracing block, without a provider; its tags are sorted by name."""
    tags = [_custom_tag(tag) for tag in tracing.tags]
    if tracing.identity:
        tags += [*map(_environment_tag, _WHO), *map(_trial_tag, _ON_TRIAL)]
    return HttpConnectionManager.Tracing(
        client_sampling=Percent(value=100),
        random_sampling=Percent(value=tracing.sampled_percent),
        overall_sampling=Percent(value=100),
        max_path_tag_length=number(tracing.max_path_length) if tracing.max_path_length else None,
        custom_tags=sorted(tags, key=attrgetter("tag")),
    )


def _environment_tag(name: str) -> EnvoyTag:
    variable, default = _WHO[name]
    return EnvoyTag(tag=name, environment=EnvoyTag.Environment(name=variable, default_value=default))


def _trial_tag(name: str) -> EnvoyTag:
    key = MetadataKey(key="envoy.filters.http.rbac", path=[MetadataKey.PathSegment(key=_ON_TRIAL[name])])
    kind = MetadataKind(request=MetadataKind.Request())
    return EnvoyTag(tag=name, metadata=EnvoyTag.Metadata(kind=kind, metadata_key=key))


def _custom_tag(tag: Tag) -> EnvoyTag:
    if tag.header:
        return EnvoyTag(tag=tag.name, request_header=EnvoyTag.Header(name=tag.header, default_value=tag.default))
    if tag.environment:
        environment = EnvoyTag.Environment(name=tag.environment, default_value=tag.default)
        return EnvoyTag(tag=tag.name, environment=environment)
    return EnvoyTag(tag=tag.name, literal=EnvoyTag.Literal(value=tag.literal))
