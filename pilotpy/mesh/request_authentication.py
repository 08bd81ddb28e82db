"""Which keys of token issuers are wanted, and which are at hand.

The keys to fetch are the answer of a query; whoever fetches them writes the outcome into ``KEY_SETS``.
Follows ``pilot/pkg/model/jwks_resolver.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, cast

from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.kinds import KEY_SETS, REQUEST_AUTHENTICATIONS
from pilotpy.model.key_set import KeySet, KeySource
from pilotpy.model.request_authentication import JWTRule, RequestAuthentication
from pilotpy.model.resource import Resource

# A key that verifies nothing: nobody kept what is private of it. Envoy would refuse an empty set.
NO_KEYS: Final = (
    '{"keys": [{"kty": "RSA", "kid": "nobody", "alg": "RS256", "use": "sig", "e": "AQAB", "n": "'
    "tdqBO1PHvqGMCOIRX8yZ84j_kvuHhfIpC9-DbLnY3nhIG8x65ozFXawUyQFT7IbQneq_5mLFnX4H0EbE0u4mmdmr2g"
    "q03PTOlNBaz3wRb7iJht4tyzNrbeE0zvbbYJaOxQCYGehAjhKbR9PuPzLwa9KGlvwFkrC8pNGtnBTctd8zovnrjcwG"
    "n_bRCN3DyDwEv5vREBifcpwWL-WWgg7VcK8jezBmeC54lG51Gv9RABE3B_LhnSpLbVICHlD_fy1Wno9zEjueP8qkEf"
    "DJJRxbXMAZeD78to9ifkCqvmY9oYZAd5QEqqVaeBJJUoGo5mrk61pjgXKQ7CHlIm7Jm9NlCQ"
    '"}]}'
)

_TIMEOUT: Final = timedelta(seconds=5)


def key_source(rule: JWTRule) -> KeySource | None:
    """Return where the keys of a rule are to be fetched, or None if it brings them, or says too little."""
    if rule.jwks or not (rule.jwks_uri or rule.issuer):
        return None
    return KeySource(rule.jwks_uri, "" if rule.jwks_uri else rule.issuer, rule.timeout or _TIMEOUT)


def _sources(policy: Resource[RequestAuthentication]) -> Iterable[KeySource]:
    return [source for rule in policy.spec.jwt_rules if (source := key_source(rule))]


RULES_BY_KEY_SOURCE = Index(REQUEST_AUTHENTICATIONS, _sources, "request authentications by where their keys are")


@query
def wanted_keys(q: Asking) -> tuple[KeySource, ...]:
    """Return all sources of keys that policies name, sorted; may be empty."""
    return cast("tuple[KeySource, ...]", q.buckets(RULES_BY_KEY_SOURCE))


@query
def key_set(q: Asking, source: KeySource) -> KeySet:
    """Return the keys of a source, as far as they were fetched."""
    return q.get(KEY_SETS, source) or KeySet()
