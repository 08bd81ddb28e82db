"""Third-party cases of AuthorizationPolicies: the filters before a workload are the same, field by field."""

from __future__ import annotations

from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict, ParseDict

from pilotpy.engine import Put
from pilotpy.mesh.kinds import KIND_OF, MESH_CONFIG
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents
from pilotpy.schema.mesh_config import mesh_config
from pilotpy_protos.descriptors import pool
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from tests.compile.listening import listened_by, manager
from tests.mesh.world import World, entry

AUTHORIZING = ("envoy.filters.http.rbac", "envoy.filters.http.ext_authz")
AUTHORIZING_TCP = ("envoy.filters.network.rbac", "envoy.filters.network.ext_authz")

DEVIATIONS: dict[str, str] = {}
"""Cases that come out otherwise, and why that is better for users."""


def filters(case: dict[str, Any]) -> list[Filter] | list[HttpFilter]:
    """What authorizes traffic to ports of the workload that no service names."""
    world = World(*[entry(one["namespace"], "provider", one["hostname"]) for one in case["services"]])
    read = mesh_config(yaml.safe_dump(case["mesh_config"] or {}), "mesh.yaml")
    assert read.config is not None, read.findings
    objects = [decode_object(one.raw).resource for one in documents(case["input"], "in.yaml").objects]
    puts = [Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in objects if one]
    world.engine.apply([*puts, Put(MESH_CONFIG, ("",), read.config)])
    proxy = case["proxy"]
    inbound = listened_by(world, world.view(proxy["id"], LABELS=proxy["labels"]))["virtualInbound"]
    found: list[Any] = []
    if case["kind"] == "http":
        chain = next(one for one in inbound.filter_chains if one.name == "virtualInbound-catchall-http")
        found = [one for one in manager(chain).http_filters if one.name in AUTHORIZING]
    else:
        chain = next(one for one in inbound.filter_chains if one.name == "virtualInbound")
        found = [one for one in chain.filters if one.name in AUTHORIZING_TCP]
    return [one for one in found if _is_custom(one) == case["custom_builder"]]


def _is_custom(one: Filter | HttpFilter) -> bool:
    return b"istio-ext-authz-" in one.typed_config.value


def plain(found: list[Any]) -> list[Any]:
    return [MessageToDict(one, descriptor_pool=pool()) for one in found]


def expected(case: dict[str, Any]) -> list[Any]:
    kind = HttpFilter if case["kind"] == "http" else Filter
    return [ParseDict(one, kind(), descriptor_pool=pool()) for one in case["expect_filters"]]


def test_policies_become_the_filters_that_istio_makes(conformance):
    cases = list(yaml.safe_load_all((conformance / "authz" / "cases.yaml").read_text()))
    differing = [case["name"] for case in cases if plain(filters(case)) != plain(expected(case))]
    assert len(cases) >= 15
    assert differing == list(DEVIATIONS)
