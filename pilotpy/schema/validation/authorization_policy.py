"""AuthorizationPolicy: rules that Istio admits.

Source: istio/istio pkg/config/validation/validation.go and pkg/config/security/security.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotpy.model.authorization_policy import AuthorizationPolicy, Condition, Operation, Rule, Source
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import attributes
from pilotpy.schema.validation.selectors import attachment

_PEER = ("principals", "requestPrincipals", "namespaces", "serviceAccounts", "trustDomains")
_TCP_SOURCE = ("principals", "namespaces", "ipBlocks", "remoteIpBlocks", "serviceAccounts")
_PEER_ATTRIBUTES = ("source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal")


def authorization_policy(resource: Resource[AuthorizationPolicy]) -> Problems:
    """What is wrong with an AuthorizationPolicy."""
    spec = resource.spec
    yield from attachment(spec.selector, spec.target_ref, spec.target_refs, "spec")
    if spec.action in {"CUSTOM", "DENY"} and not spec.rules:
        yield Problem("spec.rules", f"Action {spec.action} without rules never applies", "A rule {} matches everything")
    if spec.action == "CUSTOM":
        if spec.rules and not (spec.provider and spec.provider.name):
            yield Problem("spec.provider.name", "Action CUSTOM needs a provider")
        for i, rule in enumerate(spec.rules):
            yield from _without_peers(rule, below("spec.rules", i))
    elif spec.provider:
        yield Problem("spec.provider", f"Action {spec.action} has no provider")
    for i, rule in enumerate(spec.rules):
        yield from _rule(rule, below("spec.rules", i), deny=spec.action == "DENY")


def fields(message: Source | Operation) -> dict[str, tuple[str, ...]]:
    """The lists of a source or operation by their names, each also as its opposite ("notPaths")."""
    cls = type(message)
    pairs = zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
    return {name: getattr(message, field) for name, field in pairs}


def _negated(name: str) -> str:
    return f"not{name[0].upper()}{name[1:]}"


def _given(lists: dict[str, tuple[str, ...]], names: Iterable[str]) -> list[str]:
    """Those of the fields, or of their opposites, that are set."""
    return [name for plain in names for name in (plain, _negated(plain)) if lists.get(name)]


def _rule(rule: Rule, at: str, *, deny: bool) -> Problems:
    tcp_from = tcp_to = False
    for i, one in enumerate(rule.from_):
        here = below(f"{at}.from", i)
        if one.source is None:
            yield Problem(f"{here}.source", "The source is missing")
            continue
        yield from _source(one.source, f"{here}.source")
        tcp_from = tcp_from or bool(_given(fields(one.source), _TCP_SOURCE))
    for i, to in enumerate(rule.to):
        here = below(f"{at}.to", i)
        if to.operation is None:
            yield Problem(f"{here}.operation", "The operation is missing")
            continue
        yield from _operation(to.operation, f"{here}.operation")
        tcp_to = tcp_to or bool(to.operation.ports or to.operation.not_ports)
    for i, condition in enumerate(rule.when):
        yield from _condition(condition, below(f"{at}.when", i))
    sources = any(one.source for one in rule.from_)
    operations = any(to.operation for to in rule.to)
    if deny and ((sources and not operations and not tcp_from) or (operations and not tcp_to)):
        message = "On ports that are not HTTP this denies everything: attributes of HTTP are unknown there"
        yield warning(at, message, "Name the ports that are meant")


def _source(source: Source, at: str) -> Problems:
    lists = fields(source)
    if not any(lists.values()):
        yield Problem(at, "The source says nothing", "Name somebody in it, or leave it out")
    if _given(lists, ("serviceAccounts",)) and _given(lists, ("principals", "namespaces")):
        yield Problem(at, "There are no serviceAccounts beside namespaces or principals")
    for name, listed in lists.items():
        here = f"{at}.{name}"
        if name in {"ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"}:
            yield from attributes.addresses(listed, here)
        elif name in {"serviceAccounts", "notServiceAccounts"}:
            yield from attributes.service_accounts(listed, here)
        elif name in {"trustDomains", "notTrustDomains"}:
            yield from attributes.trust_domains(listed, here)
        else:
            yield from attributes.not_empty(listed, here)
            if name not in {"namespaces", "notNamespaces"}:  # there stars count wherever they stand
                yield from attributes.texts(listed, here)


def _operation(operation: Operation, at: str) -> Problems:
    lists = fields(operation)
    if not any(lists.values()):
        yield Problem(at, "The operation says nothing", "Name a port, host, path or method, or leave it out")
    for name, listed in lists.items():
        here = f"{at}.{name}"
        yield from attributes.not_empty(listed, here)
        if name in {"ports", "notPorts"}:
            yield from attributes.ports(listed, here)
        elif name in {"paths", "notPaths"}:
            yield from attributes.path_templates(listed, here)
        else:
            yield from attributes.texts(listed, here)


def _condition(condition: Condition, at: str) -> Problems:
    if not condition.key:
        yield Problem(f"{at}.key", "The key is missing")
    elif not (condition.values or condition.not_values):
        yield Problem(at, "One of values and notValues is needed")
    else:
        yield from attributes.attribute(condition.key, condition.values, at, "values")
        yield from attributes.attribute(condition.key, condition.not_values, at, "notValues")


def _without_peers(rule: Rule, at: str) -> Problems:
    """An external authorizer is asked before peers and tokens are known."""
    for i, one in enumerate(rule.from_):
        for name in _given(fields(one.source), _PEER) if one.source else ():
            yield Problem(f"{below(f'{at}.from', i)}.source.{name}", f"Action CUSTOM has no {name}")
    for i, condition in enumerate(rule.when):
        if condition.key in _PEER_ATTRIBUTES or condition.key.startswith("request.auth."):
            yield Problem(f"{below(f'{at}.when', i)}.key", f"Action CUSTOM has no {condition.key}")
