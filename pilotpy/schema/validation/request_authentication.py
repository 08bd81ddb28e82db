"""RequestAuthentication: rules that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, validateJwtRule; keys as in RFC 7517.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from pilotpy.model.request_authentication import JWTRule, RequestAuthentication
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import values
from pilotpy.schema.validation.selectors import attachment

_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


def request_authentication(resource: Resource[RequestAuthentication]) -> Problems:
    """What is wrong with a RequestAuthentication."""
    spec = resource.spec
    yield from attachment(spec.selector, spec.target_ref, spec.target_refs, "spec")
    for i, rule in enumerate(spec.jwt_rules):
        yield from _rule(rule, below("spec.jwtRules", i))


def _rule(rule: JWTRule, at: str) -> Problems:
    if not rule.issuer and not rule.jwks_uri:
        yield Problem(at, "One of issuer and jwksUri is needed")
    if rule.jwks_uri:
        yield from _uri(rule.jwks_uri, f"{at}.jwksUri")
    if rule.jwks:
        yield from _keys(rule.jwks, f"{at}.jwks")
    if rule.jwks and rule.jwks_uri:
        yield Problem(at, "Only one of jwks and jwksUri may be set")
    for field, listed in (
        ("audiences", rule.audiences),
        ("fromHeaders", [header.name for header in rule.from_headers]),
        ("fromParams", rule.from_params),
        ("fromCookies", rule.from_cookies),
        ("spaceDelimitedClaims", rule.space_delimited_claims),
    ):
        for i, text in enumerate(listed):
            if not text:
                yield Problem(below(f"{at}.{field}", i), "It may not be empty")
    yield from _copied_claims(rule, at)
    yield from values.duration(rule.timeout, f"{at}.timeout")


def _copied_claims(rule: JWTRule, at: str) -> Problems:
    for i, claim in enumerate(rule.output_claim_to_headers):
        here = below(f"{at}.outputClaimToHeaders", i)
        if not claim.claim or not claim.header:
            yield Problem(here, "Both header and claim are needed")
        elif not _HEADER.fullmatch(claim.header):
            yield Problem(f"{here}.header", f"{claim.header!r} is not the name of a header", values.AS_HEADER)


def _uri(uri: str, at: str) -> Problems:
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in {"http", "https"} and (parts.port is None or parts.port >= 0)
    except ValueError:
        usable = False
    if not usable:
        yield Problem(
            at, f"{uri!r} is not a URI of http or https", "Write it with its scheme: https://issuer.example/keys"
        )


def _keys(text: str, at: str) -> Problems:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        document = None
    keys = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(_is_key(key) for key in keys):
        yield Problem(
            at, "It is not a set of JSON Web Keys", 'Write {"keys": [...]} as RFC 7517 has it, or name a jwksUri'
        )
        return
    for i, key in enumerate(keys):
        if "d" in key or key["kty"] == "oct":
            yield warning(at, f"Key {i} is a private one, which verifying does not need", "Leave the private parts out")


def _is_key(key: Any) -> bool:
    if not isinstance(key, dict) or not isinstance(key.get("kty"), str):
        return False
    return all(isinstance(key.get(name), str) for name in _PUBLIC.get(key["kty"], ("",)))
