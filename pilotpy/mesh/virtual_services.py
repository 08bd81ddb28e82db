"""From VirtualServices to the HTTP rules they amount to: delegates merged in, hosts made whole, what holds where.

Source: Istio's ``networking/v1/virtual_service.proto``; istiod's ``pilot/pkg/model/virtualservice.go`` (merging) and
``pilot/pkg/networking/core/route/route.go`` (conditions that the control plane decides itself).
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from pilotpy.engine import Asking, query
from pilotpy.mesh.config import mesh_config
from pilotpy.mesh.delegation import merged
from pilotpy.mesh.hosts import whole
from pilotpy.mesh.kinds import VIRTUAL_SERVICES
from pilotpy.model.resource import Finding, Ref, Resource, Severity
from pilotpy.model.virtual_service import Destination, HTTPMatchRequest, HTTPRoute, VirtualService

MESH = "mesh"  # the gateway that stands for all sidecars


class Rule(NamedTuple):
    """One HTTP rule and where its author wrote it."""

    route: HTTPRoute  # its hosts are whole; it delegates no more
    ref: Ref  # of the delegate, if it came from one
    field: str  # "spec.http[0]"


class SourceCondition(NamedTuple):
    """What a match asks of the client, which the control plane checks in Envoy's stead."""

    rule: int  # index into ``rules(ref)``
    match: int  # index into the rule's matches
    labels: tuple[tuple[str, str], ...]  # sorted; the client must have them all
    namespace: str  # the client's; "": any


@query
def rules(q: Asking, ref: Ref) -> tuple[Rule, ...]:
    """The HTTP rules of a VirtualService in order of precedence; empty if it is gone."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None:
        return ()
    own: list[Rule] = []
    for index, route in enumerate(found.spec.http):
        rule = Rule(_with_whole_hosts(route, ref.namespace), ref, f"spec.http[{index}]")
        own += [rule] if route.delegate is None else _delegated(q, rule)
    return tuple(own)


@query
def hosts(q: Asking, ref: Ref) -> tuple[str, ...]:
    """The hosts of a VirtualService, whole, as written; empty if it is gone or a delegate."""
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    return tuple(dict.fromkeys(whole(host, ref.namespace) for host in found.spec.hosts)) if found else ()


@query
def destinations(q: Asking, ref: Ref) -> tuple[str, ...]:
    """The hosts that the HTTP rules of a VirtualService send requests to, sorted."""
    return tuple(sorted({to.host for rule in q(rules, ref) for to in _destinations(rule.route)}))


@query
def source_conditions(q: Asking, ref: Ref) -> tuple[SourceCondition, ...]:
    """The conditions on clients in the HTTP rules of a VirtualService; empty: they hold for all."""
    return tuple(
        SourceCondition(index, number, tuple(sorted(match.source_labels.items())), match.source_namespace)
        for index, rule in enumerate(q(rules, ref))
        for number, match in enumerate(rule.route.match)
        if asks_for_source(match)
    )


def asks_for_source(match: HTTPMatchRequest) -> bool:
    """Whether a match depends on who the client is. One that names gateways asks for nothing else."""
    return not match.gateways and bool(match.source_labels or match.source_namespace)


def holds(match: HTTPMatchRequest, port: int, *, source_held: bool) -> bool:
    """Whether a match can be met by requests of a sidecar's listener on ``port``."""
    if match.port not in {0, port}:
        return False
    if match.gateways:
        return MESH in match.gateways
    return source_held or not asks_for_source(match)


def _delegated(q: Asking, root: Rule) -> list[Rule]:
    delegate = root.route.delegate
    assert delegate is not None, "only asked for rules that delegate"
    ref = Ref("VirtualService", delegate.namespace or root.ref.namespace, delegate.name)
    found = q.get(VIRTUAL_SERVICES, ref.namespace, ref.name)
    if found is None or not _visible(q, found, root.ref.namespace):
        q.note(
            _unusable(
                root,
                f"delegates to {ref}, which does not exist or is not exported to this namespace",
                "create it or export it",
            )
        )
        return []
    if found.spec.hosts:
        q.note(
            _unusable(root, f"delegates to {ref}, which has hosts of its own and so is no delegate", "remove its hosts")
        )
        return []
    out: list[Rule] = []
    for index, route in enumerate(found.spec.http):
        rule = Rule(_with_whole_hosts(route, ref.namespace), ref, f"spec.http[{index}]")
        if route.delegate is not None:
            q.note(_unusable(rule, "delegates once more, which a delegate may not", "write the rules here"))
        elif (one := merged(root.route, rule.route)) is None:
            q.note(
                _unusable(rule, f"can never match where {root.ref} {root.field} delegates to it", "narrow its matches")
            )
        else:
            out.append(rule._replace(route=one))
    return out


def _visible(q: Asking, found: Resource[VirtualService], namespace: str) -> bool:
    export_to = found.spec.export_to or q(_default_export_to)
    return "*" in export_to or namespace in export_to or ("." in export_to and found.ref.namespace == namespace)


@query
def _default_export_to(q: Asking) -> tuple[str, ...]:
    return q(mesh_config).default_virtual_service_export_to


def _unusable(rule: Rule, message: str, hint: str) -> Finding:
    return Finding(
        code="PP0421", severity=Severity.WARNING, message=f"Rule {message}", ref=rule.ref, field=rule.field, hint=hint
    )


def _destinations(route: HTTPRoute) -> list[Destination]:
    to = [one.destination for one in route.route] + [route.mirror] + [one.destination for one in route.mirrors]
    return [one for one in to if one is not None]


def _with_whole_hosts(route: HTTPRoute, namespace: str) -> HTTPRoute:
    def made_whole(to: Destination | None) -> Destination | None:
        return to and replace(to, host=whole(to.host, namespace))

    return replace(
        route,
        route=tuple(replace(one, destination=made_whole(one.destination)) for one in route.route),
        mirror=made_whole(route.mirror),
        mirrors=tuple(replace(one, destination=made_whole(one.destination)) for one in route.mirrors),
    )
