"""What each attribute of a policy is to Envoy: a principal (who) or a permission (what), by one value or by several.

Most attributes are known of any connection; those of HTTP are not known where the connection is opaque.
Source: istio/istio pilot/pkg/security/authz/model (generator.go) and matcher.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from pilotpy.compile.features.rbac_terms import EXPERIMENTAL, Term
from pilotpy.compile.features.rbac_values import (
    ANYTHING,
    Unusable,
    addresses,
    expression,
    header,
    listed,
    metadata,
    one_of,
    path_template,
    plain,
    port,
    quoted,
    text,
)
from pilotpy.compile.wire import packed
from pilotpy_protos.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from pilotpy_protos.envoy.config.rbac.v3.rbac_pb2 import Permission, Principal
from pilotpy_protos.envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2 import UriTemplateMatchConfig
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher
from pilotpy_protos.envoy.type.matcher.v3.value_pb2 import ValueMatcher

T = TypeVar("T", Principal, Permission)

TOKENS: Final = "envoy.filters.http.jwt_authn"
_PAYLOAD: Final = "payload"
_SPIFFE: Final = "spiffe://"
_CLAIM = re.compile(r"[^\[\]]+(?:\]\[[^\[\]]+)*")


class Attribute(NamedTuple, Generic[T]):
    """How an attribute is matched. Exactly one of `each` and `together` is set."""

    each: Callable[[Term, str], T] | None = None  # one value; several are alternatives
    together: Callable[[Term, Sequence[str]], T] | None = None  # all values at once
    http: bool = False  # known of HTTP requests only


# -- who ---------------------------------------------------------------------------------------------


def _peer(matcher: StringMatcher) -> Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=matcher))


def _principal(_: Term, value: str) -> Principal:
    if value == "*":
        return _peer(ANYTHING)
    if value.startswith("*"):
        return _peer(expression(f"{_SPIFFE}.*{quoted(value[1:])}"))
    return _peer(text(_SPIFFE + value))


def _namespace(_: Term, value: str) -> Principal:
    return _peer(expression(f".*/ns/{_starred(value)}/.*"))


def _service_account(_: Term, value: str) -> Principal:
    namespace, slash, account = value.partition("/")
    if not slash or not namespace or not account or "/" in account:
        raise Unusable(f"{value!r} is not a service account")
    return _peer(expression(f"{_SPIFFE}.+/ns/{quoted(namespace)}/(.+/|)sa/{quoted(account)}(/.+)?"))


def _trust_domain(_: Term, value: str) -> Principal:
    if value == "*":
        return _peer(StringMatcher(prefix=_SPIFFE))
    if "*" not in value:
        return _peer(StringMatcher(prefix=f"{_SPIFFE}{value}/"))
    return _peer(expression(f"{_SPIFFE}{'[^/]*'.join(map(quoted, value.split('*')))}/.*"))


def _starred(value: str) -> str:
    return ".*".join(map(quoted, value.split("*")))


def _token_principal(_: Term, values: Sequence[str]) -> Principal:
    found = [_issuer_and_subject(value) for value in values]
    return found[0] if len(found) == 1 else Principal(or_ids=Principal.Set(ids=found))


def _issuer_and_subject(value: str) -> Principal:
    """Who a token is of, ISSUER/SUBJECT: an issuer is a URL, so the last slash divides."""
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = subject, ""
    if value == "*":
        matchers = (ANYTHING, ANYTHING)
    elif value.startswith("*"):
        matchers = (text(issuer), StringMatcher(exact=subject)) if slash else (ANYTHING, text(value))
    elif value.endswith("*"):
        matchers = (StringMatcher(exact=issuer), text(subject)) if slash else (text(value), ANYTHING)
    else:
        matchers = (StringMatcher(exact=issuer), StringMatcher(exact=subject))
    ids = [
        _in_token((claim,), ValueMatcher(string_match=one)) for claim, one in zip(("iss", "sub"), matchers, strict=True)
    ]
    return Principal(and_ids=Principal.Set(ids=ids))


def _claims(*path: str) -> Callable[[Term, Sequence[str]], Principal]:
    def claims(term: Term, values: Sequence[str]) -> Principal:
        steps = path or (term.key.split("][") if _CLAIM.fullmatch(term.key) else [term.key])
        value = one_of([plain(one) for one in values])
        return _in_token(steps, one_of([listed(value), value]))

    return claims


def _in_token(path: Sequence[str], value: ValueMatcher) -> Principal:
    return Principal(metadata=metadata(TOKENS, (_PAYLOAD, *path), value))


PEERS: Final[Mapping[str, Attribute[Principal]]] = {
    "source.principal": Attribute(_principal),
    "source.namespace": Attribute(_namespace),
    "source.serviceAccount": Attribute(_service_account),
    "source.trustDomain": Attribute(_trust_domain),
    "source.ip": Attribute(lambda _, value: Principal(direct_remote_ip=addresses(value))),
    "remote.ip": Attribute(lambda _, value: Principal(remote_ip=addresses(value))),
    "request.auth.principal": Attribute(together=_token_principal, http=True),
    "request.auth.audiences": Attribute(together=_claims("aud"), http=True),
    "request.auth.presenter": Attribute(together=_claims("azp"), http=True),
    "request.auth.claims": Attribute(together=_claims(), http=True),
    "request.headers": Attribute(lambda term, value: Principal(header=header(term.key, value)), http=True),
}


# -- what --------------------------------------------------------------------------------------------


def _host(_: Term, value: str) -> Permission:
    return Permission(header=header(":authority", value, ignore_case=True))


def _path(_: Term, value: str) -> Permission:
    if "{*}" in value or "{**}" in value:
        config = packed(UriTemplateMatchConfig(path_template=path_template(value)))
        return Permission(uri_template=TypedExtensionConfig(name="uri-template", typed_config=config))
    found = Permission()
    found.url_path.path.CopyFrom(text(value))
    return found


def _experimental(term: Term, values: Sequence[str]) -> Permission:
    """What another filter left: a value in brackets is a member of a list."""
    wanted = [
        listed(plain(value[1:-1])) if value.startswith("[") and value.endswith("]") else plain(value)
        for value in values
    ]
    return Permission(metadata=metadata(term.attribute.removeprefix(EXPERIMENTAL), (term.key,), one_of(wanted)))


OPERATIONS: Final[Mapping[str, Attribute[Permission]]] = {
    "operation.host": Attribute(_host, http=True),
    "operation.method": Attribute(lambda _, value: Permission(header=header(":method", value)), http=True),
    "operation.path": Attribute(_path, http=True),
    "destination.port": Attribute(lambda _, value: Permission(destination_port=port(value))),
    "destination.ip": Attribute(lambda _, value: Permission(destination_ip=addresses(value))),
    "connection.sni": Attribute(lambda _, value: Permission(requested_server_name=text(value))),
    EXPERIMENTAL: Attribute(together=_experimental),
}


def peer_attribute(term: Term) -> Attribute[Principal]:
    """How a term about the peer is matched. Raises `Unusable` if nobody knows its attribute."""
    found = PEERS.get(term.attribute)
    if found is None or _needs_key(term.attribute) != bool(term.key):
        raise Unusable(f"{term.attribute!r} is not an attribute of a peer")
    return found


def operation_attribute(term: Term) -> Attribute[Permission]:
    """How a term about the request is matched. Raises `Unusable` if nobody knows its attribute."""
    filters = f"{EXPERIMENTAL}envoy.filters."
    name = EXPERIMENTAL if term.attribute.startswith(filters) and term.key else term.attribute
    found = OPERATIONS.get(name)
    if found is None:
        raise Unusable(f"{term.attribute!r} is not an attribute of a request")
    return found


def _needs_key(attribute: str) -> bool:
    return attribute in {"request.auth.claims", "request.headers"}
