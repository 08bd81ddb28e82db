"""What a rule asks for, in one form: terms, each an attribute with values, in the order in which istiod writes them.

From the lists of ``from``, ``to`` and ``when`` to terms with the paths of what they come from.
Source: istio/istio pilot/pkg/security/authz/model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pilotpy.model.authorization_policy import Condition, Operation, Rule, Source

_SOURCE: Final = (
    ("source.principal", "principals"),
    ("request.auth.principal", "request_principals"),
    ("source.serviceAccount", "service_accounts"),
    ("source.trustDomain", "trust_domains"),
    ("source.namespace", "namespaces"),
    ("remote.ip", "remote_ip_blocks"),
    ("source.ip", "ip_blocks"),
)
_OPERATION: Final = (
    ("operation.host", "hosts"),
    ("operation.method", "methods"),
    ("operation.path", "paths"),
    ("destination.port", "ports"),
)
_PEER: Final = ("source.", "remote.", "request.")
EXPERIMENTAL: Final = "experimental."


class Term(NamedTuple):
    """One attribute that a rule looks at. All terms of a list hold together."""

    attribute: str
    key: str  # of attributes that have one: "X-header" of request.headers[X-header]
    values: tuple[str, ...]
    not_values: tuple[str, ...]
    field: str  # where it stands in the rule: "from[0].source.principals", "when[1]"


Terms = tuple[Term, ...]


def peers(rule: Rule) -> tuple[Terms, ...]:
    """Who: alternatives, at least one; an empty one is everybody."""
    when = tuple(_condition(one, i) for i, one in enumerate(rule.when) if one.key.startswith(_PEER))
    sources = [(i, one.source or Source()) for i, one in enumerate(rule.from_)]
    return tuple(tuple(_listed(source, _SOURCE, f"from[{i}].source")) + when for i, source in sources) or (when,)


def operations(rule: Rule) -> tuple[Terms, ...]:
    """What: alternatives, at least one; an empty one is everything."""
    when = tuple(_condition(one, i) for i, one in enumerate(rule.when) if not one.key.startswith(_PEER))
    done = [(i, one.operation or Operation()) for i, one in enumerate(rule.to)]
    return tuple(tuple(_listed(one, _OPERATION, f"to[{i}].operation")) + when for i, one in done) or (when,)


def _listed(message: Source | Operation, fields: tuple[tuple[str, str], ...], at: str) -> Iterator[Term]:
    for attribute, field in fields:
        values, not_values = getattr(message, field), getattr(message, f"not_{field}")
        if values or not_values:
            yield Term(attribute, "", values, not_values, f"{at}.{_camel(field if values else f'not_{field}')}")


def _condition(condition: Condition, index: int) -> Term:
    """The term of a ``when``. Between the outer brackets stands the key, malformed or not."""
    attribute, bracket, rest = condition.key.partition("[")
    key = rest.removesuffix("]") if bracket else ""
    return Term(attribute, key, condition.values, condition.not_values, f"when[{index}]")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
