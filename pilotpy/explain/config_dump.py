"""From a dump of an Envoy's configuration to plain data with proto field names, whoever wrote it.

Envoy's admin port writes field names as in the .proto files; istiod and our own debug pages write them in camel case,
as protobuf's JSON mapping has it. Source: envoy/admin/v3/config_dump.proto, clusters.proto; protobuf.dev, "ProtoJSON".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pilotpy.explain.redaction import redacted

Plain = Mapping[str, Any]


class Unreadable(ValueError):
    """Not a dump; the message says what is wrong with it."""


class HeldSecret(NamedTuple):
    """A secret that an Envoy holds or waits for."""

    name: str
    state: str  # ACTIVE, WARMING, UNINITIALIZED
    secret: Plain


class ConfigDump:
    """What one proxy is configured with. Keys are redacted from the start."""

    def __init__(self, parts: Mapping[str, Plain]) -> None:
        self._parts = parts  # by the name of the message: "ClustersConfigDump"

    @classmethod
    def of(cls, text: str) -> ConfigDump:
        """From the JSON of ``/config_dump``. Raises ``Unreadable``."""
        configs = _mapping(text).get("configs")
        if not isinstance(configs, list) or not all(isinstance(one, dict) for one in configs):
            raise Unreadable("this is no dump of an Envoy's configuration: it has no list of configs")
        parts = {str(one.get("@type", "")).rpartition(".")[2]: _with_proto_names(one) for one in configs}
        return cls({name: redacted(part) for name, part in parts.items()})

    @property
    def has_endpoints(self) -> bool:
        """Whether endpoints were dumped at all, which they are only with ``include_eds``."""
        return "EndpointsConfigDump" in self._parts

    @property
    def parts(self) -> list[Plain]:
        """All of it, in the order in which it was dumped."""
        return list(self._parts.values())

    @property
    def bootstrap(self) -> Plain:
        """The BootstrapConfigDump; empty in a control plane's dump."""
        return {key: value for key, value in self._part("Bootstrap").items() if key != "@type"}

    @property
    def secrets(self) -> list[HeldSecret]:
        """All dynamic secrets, those that warm first, each in Envoy's order."""
        part = self._part("Secrets")
        warming = [("WARMING", one) for one in part.get("dynamic_warming_secrets", [])]
        active = [("ACTIVE", one) for one in part.get("dynamic_active_secrets", [])]
        return [
            HeldSecret(
                one.get("name", ""),
                "UNINITIALIZED" if one.get("version_info") == "uninitialized" else state,
                one.get("secret", {}),
            )
            for state, one in (*warming, *active)
        ]

    @property
    def secrets_part(self) -> Plain:
        """The SecretsConfigDump."""
        return {key: value for key, value in self._part("Secrets").items() if key != "@type"}

    def document(self, *, static: bool = True) -> dict[str, list[Plain]]:
        """A document, in the dump's order: clusters, endpoints, listeners, routes, extensions.

        ``static``: with those that the bootstrap brought, last.
        """
        return {
            kind: [
                resource
                for at, (field, *path) in enumerate(fields)
                if static or at == 0
                for held in self._part(part).get(field, [])
                for resource in _inside(held, path)
            ]
            for kind, (part, *fields) in _RESOURCES.items()
        }

    def _part(self, name: str) -> Plain:
        return self._parts.get(f"{name}ConfigDump", {})


def host_statuses(text: str) -> list[Plain]:
    """Return the cluster statuses of ``/clusters?format=json``, in Envoy's order. Raises ``Unreadable``."""
    found = _mapping(text)
    if not found:
        return []
    statuses = found.get("cluster_statuses", found.get("clusterStatuses"))
    if not isinstance(statuses, list):
        raise Unreadable("these are no clusters of an Envoy: there is no list of cluster_statuses")
    if "clusterStatuses" in found:
        from google.protobuf.json_format import ParseDict  # late: dumps of Envoy's own need no translation

        from pilotpy.explain.document import plain
        from pilotpy_protos.envoy.admin.v3.clusters_pb2 import Clusters

        statuses = plain(ParseDict(dict(found), Clusters(), ignore_unknown_fields=True))["cluster_statuses"]
    return [one for one in statuses if isinstance(one, dict)]


def is_of_hosts(text: str) -> bool:
    """Whether a text is the answer of ``/clusters?format=json`` and no dump. Raises ``Unreadable``."""
    return not {"cluster_statuses", "clusterStatuses"}.isdisjoint(_mapping(text))


# The first field of each is what came over xDS.
_RESOURCES: Final[dict[str, tuple[Any, ...]]] = {
    "clusters": ("Clusters", ("dynamic_active_clusters", "cluster"), ("static_clusters", "cluster")),
    "endpoints": (
        "Endpoints",
        ("dynamic_endpoint_configs", "endpoint_config"),
        ("static_endpoint_configs", "endpoint_config"),
    ),
    "listeners": ("Listeners", ("dynamic_listeners", "active_state", "listener"), ("static_listeners", "listener")),
    "routes": ("Routes", ("dynamic_route_configs", "route_config"), ("static_route_configs", "route_config")),
    "extensions": ("Ecds", ("ecds_filters", "ecds_filter")),
}


def _mapping(text: str) -> Plain:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"this is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable("this is no dump of an Envoy's configuration: it is no JSON object")
    return found


def _with_proto_names(config: Plain) -> Plain:
    """A part of a dump with proto field names; itself if it has them already."""
    if all(key.islower() for key in config if key != "@type"):
        return config
    from google.protobuf.any_pb2 import Any as AnyMessage  # late: dumps of Envoy's own need no translation
    from google.protobuf.json_format import ParseDict, ParseError

    from pilotpy.explain.document import plain
    from pilotpy_protos.descriptors import pool

    try:
        return plain(ParseDict(dict(config), AnyMessage(), descriptor_pool=pool()))
    except (ParseError, TypeError) as error:
        raise Unreadable(f"{config.get('@type')} cannot be read: {error}") from None


def _inside(held: Any, path: list[str]) -> Iterator[Plain]:
    for key in path:
        if not isinstance(held, dict) or not isinstance(held.get(key), dict):
            return  # a listener that is but warming, or failed
        held = held[key]
    yield held
