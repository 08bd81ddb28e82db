"""From rules for tokens, and the keys that were found for them, to the filter that verifies tokens.

A request without a token passes; one with a token that is not valid, or of an issuer that no rule knows, does not.
Source: istio/istio pilot/pkg/security/authn/policy_applier.go; Envoy's jwt_authn config.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pilotpy.compile.features.authorization import as_filter
from pilotpy.compile.features.rbac_attributes import TOKENS
from pilotpy.compile.features.rbac_rules import Wire
from pilotpy.model.request_authentication import JWTRule
from pilotpy_protos.envoy.config.core.v3.base_pb2 import DataSource
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import RouteMatch
from pilotpy_protos.envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import (
    JwtAuthentication,
    JwtClaimToHeader,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    JwtRequirementAndList,
    JwtRequirementOrList,
    RequirementRule,
)

# Claims that hold several words, parted by spaces: RFC 8693 and habit.
_WORDS: Final = ("permission", "scope")


class Verified(NamedTuple):
    """A rule, and the keys that its tokens are verified with (a JSON Web Key Set)."""

    rule: JWTRule
    keys: str


def jwt_filter(rules: Sequence[Verified]) -> bytes:
    """The filter, in wire format; rules are numbered in the order of their issuers. At least one."""
    ordered = sorted(rules, key=lambda one: one.rule.issuer)
    names = [f"origins-{i}" for i in range(len(ordered))]
    config = JwtAuthentication(
        providers={name: _provider(one) for name, one in zip(names, ordered, strict=True)},
        rules=[RequirementRule(match=RouteMatch(prefix="/"), requires=_requirement(names))],
        bypass_cors_preflight=True,
    )
    return as_filter(TOKENS, config, Wire.HTTP)


def _provider(one: Verified) -> JwtProvider:
    rule = one.rule
    return JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        local_jwks=DataSource(inline_string=one.keys),
        forward=rule.forward_original_token,
        from_headers=[JwtHeader(name=header.name, value_prefix=header.prefix) for header in rule.from_headers],
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward_payload_header=rule.output_payload_to_header,
        claim_to_headers=[
            JwtClaimToHeader(header_name=copied.header, claim_name=copied.claim)
            for copied in rule.output_claim_to_headers
        ],
        payload_in_metadata="payload",
        normalize_payload_in_metadata=JwtProvider.NormalizePayload(
            space_delimited_claims=sorted({*_WORDS, *rule.space_delimited_claims})
        ),
    )


def _requirement(names: Sequence[str]) -> JwtRequirement:
    """A valid token of any provider, or none at all."""
    if len(names) == 1:
        return _or_missing(names[0])
    # Each by itself may miss its token, but a token that is there has to satisfy somebody.
    missing = JwtRequirementAndList(requirements=[_or_missing(name) for name in names])
    wanted = [JwtRequirement(provider_name=name) for name in names]
    return JwtRequirement(
        requires_any=JwtRequirementOrList(requirements=[*wanted, JwtRequirement(requires_all=missing)])
    )


def _or_missing(name: str) -> JwtRequirement:
    absent = JwtRequirement()
    absent.allow_missing.SetInParent()
    return JwtRequirement(requires_any=JwtRequirementOrList(requirements=[JwtRequirement(provider_name=name), absent]))
