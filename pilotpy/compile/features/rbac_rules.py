"""From one rule of an AuthorizationPolicy to the policy that Envoy's RBAC filters read.

Within an alternative all terms hold together, among the values of a term any one, among its notValues none. What
cannot be matched, because it is malformed or because the connection is opaque and the term is about HTTP, never widens
what is allowed: an ALLOW loses the whole rule, any other action what would narrow the rule, so that it applies to more.
Source: istio/istio pilot/pkg/security/authz/model (model.go, permission.go, principal.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple, TypeVar

from pilotpy.compile.features.rbac_attributes import Attribute, operation_attribute, peer_attribute
from pilotpy.compile.features.rbac_terms import Term, Terms, operations, peers
from pilotpy.compile.features.rbac_values import Unusable
from pilotpy.model.authorization_policy import Rule
from pilotpy_protos.envoy.config.rbac.v3.rbac_pb2 import Permission, Policy, Principal

T = TypeVar("T", Principal, Permission)


class Wire(Enum):
    """How much Envoy understands of a connection."""

    HTTP = "HTTP"
    TCP = "TCP"


class Reading(NamedTuple):
    """How a rule is read."""

    wire: Wire
    allows: bool  # the action is ALLOW: what cannot be matched takes the rule away


class Flaw(NamedTuple):
    """A term that no matcher can be made of, or not on this wire."""

    field: str  # where it stands in the rule
    message: str
    http: bool = False  # nothing is wrong with it, but that it is about HTTP


class Read(NamedTuple):
    """What became of a rule."""

    policy: Policy | None  # None: the rule is left out
    flaws: tuple[Flaw, ...]


def read(rule: Rule, reading: Reading, meant: Callable[[Term], Term]) -> Read:
    """The policy of a rule. `meant` gives each term its final values: short names made whole, aliases expanded."""
    flaws: list[Flaw] = []

    def understood(alternatives: Iterable[Terms]) -> tuple[Terms, ...]:
        return tuple(tuple(meant(term) for term in terms) for terms in alternatives)

    what = [_operation(terms, reading, flaws) for terms in understood(operations(rule))]
    who = [_peer(terms, reading, flaws) for terms in understood(peers(rule))]
    if flaws and reading.allows:
        return Read(None, tuple(flaws))
    return Read(Policy(permissions=what, principals=who), tuple(flaws))


def http_only(rule: Rule) -> tuple[str, ...]:
    """Where a rule asks for what is known of HTTP alone; in order, may be empty."""
    found = [term.field for terms in operations(rule) for term in terms if _is_http(term, operation_attribute)]
    found += [term.field for terms in peers(rule) for term in terms if _is_http(term, peer_attribute)]
    return tuple(dict.fromkeys(found))


def never() -> Policy:
    """The policy that no request matches: of a policy object without rules."""
    everything, everybody = Permission(any=True), Principal(any=True)
    return Policy(permissions=[Permission(not_rule=everything)], principals=[Principal(not_id=everybody)])


def _is_http(term: Term, attribute_of: Callable[[Term], Attribute[T]]) -> bool:
    try:
        return attribute_of(term).http
    except Unusable:
        return False


def _operation(terms: Terms, reading: Reading, flaws: list[Flaw]) -> Permission:
    found: list[Permission] = []
    for term, attribute in _known(terms, operation_attribute, reading, flaws):
        for values, negated in _sides(term):
            match = _together(term._replace(values=values), attribute, flaws, _any_permission, negated=negated)
            if match is not None:
                found.append(Permission(not_rule=match) if negated else match)
    return Permission(and_rules=Permission.Set(rules=found or [Permission(any=True)]))


def _peer(terms: Terms, reading: Reading, flaws: list[Flaw]) -> Principal:
    found: list[Principal] = []
    for term, attribute in _known(terms, peer_attribute, reading, flaws):
        for values, negated in _sides(term):
            match = _together(term._replace(values=values), attribute, flaws, _any_principal, negated=negated)
            if match is not None:
                found.append(Principal(not_id=match) if negated else match)
    return Principal(and_ids=Principal.Set(ids=found or [Principal(any=True)]))


def _sides(term: Term) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Values, then those that must not be; only what is there."""
    yield from (side for side in ((term.values, False), (term.not_values, True)) if side[0])


def _known(
    terms: Terms, attribute_of: Callable[[Term], Attribute[T]], reading: Reading, flaws: list[Flaw]
) -> Iterator[tuple[Term, Attribute[T]]]:
    """The terms that can be matched on this wire, with how."""
    for term in terms:
        try:
            attribute = attribute_of(term)
        except Unusable as why:
            flaws.append(Flaw(term.field, str(why)))
            continue
        if attribute.http and reading.wire is Wire.TCP:
            flaws.append(Flaw(term.field, f"{term.attribute} is known of HTTP only", http=True))
            continue
        yield term, attribute


def _together(
    term: Term, attribute: Attribute[T], flaws: list[Flaw], any_of: Callable[[list[T]], T], *, negated: bool
) -> T | None:
    """A matcher for any of a term's values; None if it would match less than is written, so that a denial is not lost.

    Of values that must not be (`negated`) those that can be matched are enough: without the others more is denied.
    """
    if attribute.together is not None:
        return attribute.together(term, term.values)
    assert attribute.each is not None, "an attribute is matched by one value or by all"
    found = []
    for value in term.values:
        try:
            found.append(attribute.each(term, value))
        except Unusable as why:
            flaws.append(Flaw(term.field, str(why)))
    enough = bool(found) if negated else len(found) == len(term.values)
    return any_of(found) if enough else None


def _any_permission(rules: list[Permission]) -> Permission:
    return Permission(or_rules=Permission.Set(rules=rules))


def _any_principal(ids: list[Principal]) -> Principal:
    return Principal(or_ids=Principal.Set(ids=ids))
