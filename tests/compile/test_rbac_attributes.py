"""Each form of a value, as Envoy matches it: it is for some identities, addresses and claims, and for no others."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.compile.features.rbac_attributes import OPERATIONS, PEERS
from pilotpy.compile.features.rbac_terms import Term
from pilotpy.compile.features.rbac_values import Unusable, quoted
from pilotpy_protos.envoy.config.rbac.v3.rbac_pb2 import Principal
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher
from pilotpy_protos.envoy.type.matcher.v3.value_pb2 import ValueMatcher

SHOP = "spiffe://cluster.local/ns/shop/sa/web"
TERM = Term("", "", (), (), "")


def matches(matcher: StringMatcher, text: str) -> bool:
    """What Envoy does."""
    form = matcher.WhichOneof("match_pattern")
    if form == "safe_regex":
        return re2.fullmatch(matcher.safe_regex.regex, text) is not None
    found, given_ = getattr(matcher, form), text.lower() if matcher.ignore_case else text
    found = found.lower() if matcher.ignore_case else found
    return {"exact": given_ == found, "prefix": given_.startswith(found), "suffix": given_.endswith(found)}[form]


def peer(attribute: str, value: str) -> StringMatcher:
    return PEERS[attribute].each(TERM, value).authenticated.principal_name


@pytest.mark.parametrize(
    ("attribute", "value", "identity", "expected"),
    [
        ("source.principal", "cluster.local/ns/shop/sa/web", SHOP, True),
        ("source.principal", "cluster.local/ns/shop/sa/web", SHOP + "2", False),
        ("source.principal", "cluster.local/ns/*", SHOP, True),
        ("source.principal", "cluster.local/ns/s*", SHOP, True),
        ("source.principal", "*/sa/web", SHOP, True),
        ("source.principal", "*/sa/w.b", SHOP, False),
        ("source.principal", "*", SHOP, True),
        ("source.principal", "*", "", False),
        ("source.namespace", "shop", SHOP, True),
        ("source.namespace", "sho", SHOP, False),
        ("source.namespace", "sh*", SHOP, True),
        ("source.namespace", "*op", SHOP, True),
        ("source.namespace", "s*p", SHOP, True),
        ("source.namespace", "s.op", SHOP, False),
        ("source.serviceAccount", "shop/web", SHOP, True),
        ("source.serviceAccount", "shop/we", SHOP, False),
        ("source.serviceAccount", "hop/web", SHOP, False),
        ("source.serviceAccount", "shop/web", "spiffe://other.td/ns/shop/sa/web", True),
        ("source.trustDomain", "cluster.local", SHOP, True),
        ("source.trustDomain", "cluster.local", "spiffe://cluster.local.evil/ns/shop/sa/web", False),
        ("source.trustDomain", "cluster", SHOP, False),
        ("source.trustDomain", "cluster*", SHOP, True),
        ("source.trustDomain", "*.local", SHOP, True),
        ("source.trustDomain", "*.local", "spiffe://evil/ns/x.local/sa/web", False),
        ("source.trustDomain", "*", SHOP, True),
    ],
)
def test_an_identity_is_matched(attribute, value, identity, expected):
    assert matches(peer(attribute, value), identity) is expected


@given(literal=st.text(min_size=1, max_size=20), other=st.text(max_size=20))
def test_a_literal_matches_itself_and_nothing_else(literal, other):
    assert re2.fullmatch(quoted(literal), literal)
    assert bool(re2.fullmatch(quoted(literal), other)) == (literal == other)


NAME = st.text(st.characters(codec="utf-8", exclude_characters="/*"), min_size=1, max_size=12)


@given(namespace=NAME, account=NAME, other=NAME)
def test_a_service_account_is_nobody_else(namespace, account, other):
    matcher = peer("source.serviceAccount", f"{namespace}/{account}")
    assert matches(matcher, f"spiffe://td/ns/{namespace}/sa/{account}")
    assert matches(matcher, f"spiffe://td/ns/{namespace}/sa/{other}") == (other == account)


@pytest.mark.parametrize("value", ["web", "shop/", "/web", "a/b/c", ""])
def test_what_is_no_service_account_is_not_matched(value):
    with pytest.raises(Unusable):
        peer("source.serviceAccount", value)


CLAIMS = {
    "iss/sub": ("iss", "sub"),
    "https://a/b/sub": ("https://a/b", "sub"),
    "iss": ("iss", ""),
}


def token(principal: Principal, issuer: str, subject: str) -> bool:
    """Whether a token of an issuer for a subject is meant."""
    either = principal.or_ids.ids if principal.HasField("or_ids") else [principal]
    return any(
        all(
            matches(part.metadata.value.string_match, text)
            for part, text in zip(one.and_ids.ids, (issuer, subject), strict=True)
        )
        for one in either
    )


@pytest.mark.parametrize(
    ("values", "issuer", "subject", "expected"),
    [
        (["https://a/b/sub"], "https://a/b", "sub", True),
        (["https://a/b/sub"], "https://a", "b/sub", False),
        (["*"], "i", "s", True),
        (["*"], "i", "", False),
        (["i/*"], "i", "s", True),
        (["i/*"], "j", "s", False),
        (["i/s*"], "i", "sub", True),
        (["*/s"], "i", "s", True),
        (["*/s"], "i", "t", False),
        (["*i/s"], "ii", "s", True),
        (["*ub"], "i", "sub", True),
        (["i*"], "iss", "anybody", True),
        (["i"], "i", "", True),
        (["i"], "i", "s", False),
        (["a/b", "i/s"], "i", "s", True),
    ],
)
def test_a_token_is_matched(values, issuer, subject, expected):
    assert token(PEERS["request.auth.principal"].together(TERM, values), issuer, subject) is expected


def claim_path(attribute: str, key: str = "") -> list[str]:
    found = PEERS[attribute].together(TERM._replace(key=key), ["x"]).metadata
    assert found.filter == "envoy.filters.http.jwt_authn"
    return [step.key for step in found.path]


@pytest.mark.parametrize(
    ("attribute", "key", "path"),
    [
        ("request.auth.audiences", "", ["payload", "aud"]),
        ("request.auth.presenter", "", ["payload", "azp"]),
        ("request.auth.claims", "iss", ["payload", "iss"]),
        ("request.auth.claims", "a][b", ["payload", "a", "b"]),
        ("request.auth.claims", "a]b", ["payload", "a]b"]),
        ("request.auth.claims", "a][", ["payload", "a]["]),
    ],
)
def test_a_claim_is_looked_up(attribute, key, path):
    assert claim_path(attribute, key) == path


def claims(matcher: ValueMatcher) -> list[str]:
    """The kinds of value that a claim may be."""
    return [one.WhichOneof("match_pattern") for one in matcher.or_match.value_matchers]


def test_a_claim_is_a_text_or_a_list_with_it():
    found = PEERS["request.auth.audiences"].together(TERM, ["x"]).metadata.value
    assert claims(found) == ["list_match", "string_match"]


@pytest.mark.parametrize("attribute", ["source.ip", "remote.ip"])
@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_an_address_is_matched(attribute, value, network):
    made = PEERS[attribute].each(TERM, value)
    found = made.direct_remote_ip if attribute == "source.ip" else made.remote_ip
    assert ip_network((ip_address(found.address_prefix), found.prefix_len.value)) == ip_network(network)


@pytest.mark.parametrize("value", ["", "10.1.2", "10.1.2.3/33", "a", "fe80::1%eth0", "10.0.0.0/255.0.0.0", "::/-1"])
def test_what_is_no_address_is_not_matched(value):
    with pytest.raises(Unusable):
        PEERS["source.ip"].each(TERM, value)


@pytest.mark.parametrize("value", ["", "http", "65536", "-1", "8 0", "\u0665", "000080"])
def test_what_is_no_port_is_not_matched(value):
    with pytest.raises(Unusable):
        OPERATIONS["destination.port"].each(TERM, value)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/A", False),
        ("/a*", "/ab/c", True),
        ("*/c", "/ab/c", True),
        ("*/c*", "/ab/c*", True),
        ("*/c*", "/ab/cd", False),
        ("/a*/c", "/ab/c", False),
        ("*", "/", True),
    ],
)
def test_a_path_is_matched(value, path, expected):
    assert matches(OPERATIONS["operation.path"].each(TERM, value).url_path.path, path) is expected


@pytest.mark.parametrize(
    "value",
    [
        "{*}",
        "{*}/a",
        "//{*}",
        "/{*}//a",
        "/a b/{*}",
        "/\u00e9/{*}",
        "/{*}{**}",
        "/{**}/{*}",
        "/a*/{*}",
        "/{*}/" + "a" * 256,
    ],
)
def test_what_is_no_path_template_is_not_matched(value):
    with pytest.raises(Unusable):
        OPERATIONS["operation.path"].each(TERM, value)


@pytest.mark.parametrize("name", ["", "a\nb", "a\0"])
def test_what_names_no_header_is_not_matched(name):
    with pytest.raises(Unusable):
        PEERS["request.headers"].each(TERM._replace(key=name), "x")


def test_an_expression_that_is_too_large_is_not_matched():
    with pytest.raises(Unusable):
        peer("source.namespace", "x" * 100_000)


def test_hosts_are_matched_in_any_case_and_methods_are_not():
    host = OPERATIONS["operation.host"].each(TERM, "*.Example.com").header
    method = OPERATIONS["operation.method"].each(TERM, "GET").header
    assert (host.name, matches(host.string_match, "a.eXample.COM")) == (":authority", True)
    assert (method.name, matches(method.string_match, "get")) == (":method", False)
