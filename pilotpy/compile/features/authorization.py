"""From the policies of a workload, rule by rule, to one RBAC filter per action; on HTTP streams or on connections.

A policy on trial (annotation ``istio.io/dry-run``) stands among the shadow rules: it is counted and logged, not
enforced. Source: istio/istio pilot/pkg/security/authz/builder (builder.go, logger.go).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.message import Message

from pilotpy.compile.features.rbac_rules import Wire
from pilotpy.compile.wire import packed, serialised
from pilotpy.model.authorization_policy import Action
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter
from pilotpy_protos.envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from pilotpy_protos.envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from pilotpy_protos.envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac

FILTER: Final = {Wire.HTTP: "envoy.filters.http.rbac", Wire.TCP: "envoy.filters.network.rbac"}
STAT_PREFIX: Final = "tcp."

_TRIAL: Final = {"ALLOW": "istio_dry_run_allow_", "DENY": "istio_dry_run_deny_", "AUDIT": ""}
_ACTIONS: Final = {"ALLOW": RBAC.ALLOW, "DENY": RBAC.DENY, "AUDIT": RBAC.LOG}

Rules = tuple[tuple[str, bytes], ...]  # names and policies, the latter in wire format


class Enforcement(NamedTuple):
    """The rules of all policies with one action."""

    action: Action
    enforced: Rules | None  # None: no policy is enforced; empty: one is, and nothing is left of it
    tried: Rules | None  # of policies on trial


def rbac_filter(found: Enforcement, wire: Wire) -> bytes:
    """The filter of an action, in wire format."""
    return rbac(
        wire,
        rules=_rules(found.enforced, _ACTIONS[found.action]),
        shadow_rules=_rules(found.tried, _ACTIONS[found.action]),
        trial=_TRIAL["ALLOW" if found.tried is None else found.action],
    )


def denying(rules: Rules, wire: Wire) -> bytes:
    """The filter that refuses all that any of the rules applies to."""
    return rbac(wire, rules=_rules(rules, RBAC.DENY))


def marking(rules: Rules, wire: Wire, trial: str) -> bytes:
    """The filter that leaves the name of the rule that applies in metadata, under a prefix, and refuses nothing."""
    return rbac(wire, shadow_rules=_rules(rules, RBAC.DENY), trial=trial)


def refusing_all(wire: Wire) -> bytes:
    """The filter that lets nothing pass."""
    everything = Policy(permissions=[Permission(any=True)], principals=[Principal(any=True)])
    return denying((("deny-due-to-failure", serialised(everything)),), wire)


def rbac(wire: Wire, rules: RBAC | None = None, shadow_rules: RBAC | None = None, trial: str = "") -> bytes:
    """An RBAC filter for HTTP streams or for connections."""
    if wire is Wire.HTTP:
        return as_filter(
            FILTER[wire], http_rbac.RBAC(rules=rules, shadow_rules=shadow_rules, shadow_rules_stat_prefix=trial), wire
        )
    network = network_rbac.RBAC(
        rules=rules, shadow_rules=shadow_rules, shadow_rules_stat_prefix=trial, stat_prefix=STAT_PREFIX
    )
    return as_filter(FILTER[wire], network, wire)


def as_filter(name: str, config: Message, wire: Wire) -> bytes:
    """A filter of HTTP streams or of connections, in wire format."""
    kind = HttpFilter if wire is Wire.HTTP else Filter
    return serialised(kind(name=name, typed_config=packed(config)))


def _rules(rules: Rules | None, action: RBAC.Action) -> RBAC | None:
    if rules is None:
        return None
    found = RBAC(action=action)
    for name, policy in rules:
        found.policies[name].MergeFromString(policy)
    return found
