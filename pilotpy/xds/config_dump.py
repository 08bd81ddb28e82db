"""What a proxy is served, in the shape of Envoy's own `/config_dump`, so that istioctl can compare the two.

Source: envoy/admin/v3/config_dump.proto, and `connectionConfigDump` in pilot/pkg/xds/debug.go for which parts there are
and in which order.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from pilotpy.compile.encoded import Encoded
from pilotpy.compile.secrets import redacted
from pilotpy.explain.redaction import redacted as without_secrets
from pilotpy.xds.publication import Publication
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, SECRET, ResourceType
from pilotpy.xds.session import Session
from pilotpy_protos.descriptors import message_class, pool
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

_ADMIN: Final = "type.googleapis.com/envoy.admin.v3."


def config_dump(session: Session, publication: Publication, *, endpoints: bool) -> dict[str, Any]:
    """A ConfigDump in protobuf's JSON: all that this stream watches and is given by this publication."""
    version = publication.version

    def dynamic(type_: ResourceType, field: str) -> list[dict[str, Any]]:
        return [{"versionInfo": version, field: resource} for resource in resources(session, publication, type_)]

    listeners = [
        {"name": found.get("name", ""), "activeState": {"versionInfo": version, "listener": found}}
        for found in resources(session, publication, LISTENER)
    ]
    secrets = [
        {"name": found["name"], "versionInfo": version, "secret": found}
        for found in resources(session, publication, SECRET)
    ]
    assignments = (_part("Endpoints", dynamicEndpointConfigs=dynamic(ENDPOINT, "endpointConfig")),)
    return {
        "configs": [
            _part("Bootstrap"),
            _part("Clusters", versionInfo=version, dynamicActiveClusters=dynamic(CLUSTER, "cluster")),
            *(assignments if endpoints else ()),
            _part("Listeners", versionInfo=version, dynamicListeners=listeners),
            _part("ScopedRoutes"),
            _part("Routes", dynamicRouteConfigs=dynamic(ROUTE, "routeConfig")),
            _part("Secrets", dynamicActiveSecrets=secrets),
            _part("Ecds"),
        ]
    }


def resources(session: Session, publication: Publication, type_: ResourceType) -> list[dict[str, Any]]:
    """The resources of one type that this stream is given, each as an opened `Any`; none if it does not watch it."""
    watch, tree = session.watches.get(type_.url), publication.trees.get(type_.url)
    if watch is None or tree is None:
        return []
    found = watch.batches.whole(type_, tree, watch.wanted).resources
    return list(map(_shown, found) if type_ is SECRET else _opened(type_, found))


def _shown(secret: Encoded) -> dict[str, Any]:
    return {"@type": SECRET.url, **MessageToDict(redacted(Secret.FromString(bytes(secret))))}


def _part(name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"{_ADMIN}{name}ConfigDump", **{field: value for field, value in fields.items() if value}}


def _opened(type_: ResourceType, found: Iterable[Encoded]) -> Iterable[dict[str, Any]]:
    of_type = message_class(type_.url.rpartition("/")[2])
    for resource in found:
        body: dict[str, Any]
        try:
            assert of_type is not None, f"{type_.url} is compiled but unknown"
            body = MessageToDict(of_type.FromString(bytes(resource)), descriptor_pool=pool())
            if type_ is LISTENER or type_ is EXTENSION:  # filters have key sets of token issuers
                body = without_secrets(body)
        except (DecodeError, TypeError):
            # An extension of somebody else's Envoy, named by an EnvoyFilter: its bytes are all there is to show.
            body = {"name": resource.name, "value": b64encode(bytes(resource)).decode()}
        yield {"@type": type_.url, **body}
