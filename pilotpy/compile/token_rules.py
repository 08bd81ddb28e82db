"""From the RequestAuthentications of a workload to the rules that its tokens are verified by, each with its keys.

Source: istio/istio pilot/pkg/security/authn/policy_applier.go and pilot/pkg/model/jwks_resolver.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from pilotpy.compile.features.jwks import usable
from pilotpy.compile.features.jwt_authn import Verified
from pilotpy.compile.header_text import PRINTABLE, unfit, unfit_name
from pilotpy.engine import Asking
from pilotpy.mesh.kinds import REQUEST_AUTHENTICATIONS
from pilotpy.mesh.request_authentication import NO_KEYS, key_set, key_source
from pilotpy.model.key_set import KeySet
from pilotpy.model.request_authentication import JWTRule
from pilotpy.model.resource import Finding, Ref, Severity

WITHOUT_KEYS: Final = "PP0404"  # keys of an issuer are not at hand
UNFIT_HEADER: Final = "PP0406"  # a header that Envoy would refuse


def token_rules(q: Asking, ref: Ref) -> Iterator[Verified]:
    """The rules of a RequestAuthentication, in order; leaves a note where keys are missing."""
    policy = q.get(REQUEST_AUTHENTICATIONS, ref.namespace, ref.name)
    for i, rule in enumerate(policy.spec.jwt_rules if policy else ()):
        source = key_source(rule)
        known = q(key_set, source) if source else KeySet(rule.jwks)
        keys = usable(known.text)
        if source and (known.failure or not known.text):
            field = f"spec.jwtRules[{i}]" + (".jwksUri" if source.uri else ".issuer")
            q.note(_not_fetched(ref, field, str(source), known))
        elif not keys:
            q.note(_unusable(ref, f"spec.jwtRules[{i}]" + (".jwks" if rule.jwks else ""), str(source or "jwks")))
        for field, text in _header_texts(rule):
            if why := unfit(text):
                q.note(_unfit(ref, f"spec.jwtRules[{i}].{field}", why))
        yield Verified(_fit(rule), keys or NO_KEYS)


def _header_texts(rule: JWTRule) -> Iterator[tuple[str, str]]:
    """What stands in headers, and where in the rule it is written."""
    for i, header in enumerate(rule.from_headers):
        yield f"fromHeaders[{i}]", header.name + header.prefix
    yield "outputPayloadToHeader", rule.output_payload_to_header
    for i, copied in enumerate(rule.output_claim_to_headers):
        yield f"outputClaimToHeaders[{i}]", copied.header


def _fit(rule: JWTRule) -> JWTRule:
    """A rule without headers that Envoy would refuse: a token in one of these is as good as none."""
    return replace(
        rule,
        from_headers=tuple(one for one in rule.from_headers if not (unfit_name(one.name) or unfit(one.prefix))),
        output_payload_to_header="" if unfit(rule.output_payload_to_header) else rule.output_payload_to_header,
        output_claim_to_headers=tuple(one for one in rule.output_claim_to_headers if not unfit_name(one.header)),
    )


def _unfit(ref: Ref, field: str, why: str) -> Finding:
    return Finding(
        code=UNFIT_HEADER,
        severity=Severity.ERROR,
        message=f"The header is left out: it {why}",
        ref=ref,
        field=field,
        hint=PRINTABLE,
    )


def _not_fetched(ref: Ref, field: str, source: str, known: KeySet) -> Finding:
    if known.text:
        message = f"The keys of {source} cannot be fetched again ({known.failure}): the last ones are used"
        severity = Severity.WARNING
    elif known.failure:
        message = f"The keys of {source} cannot be fetched ({known.failure}): its tokens are all refused"
        severity = Severity.ERROR
    else:
        message = f"The keys of {source} have not been fetched: until they are, its tokens are all refused"
        severity = Severity.INFO
    return Finding(
        code=WITHOUT_KEYS,
        severity=severity,
        message=message,
        ref=ref,
        field=field,
        hint="A control plane that runs fetches them; see that it can reach the address, or write the keys into jwks",
    )


def _unusable(ref: Ref, field: str, source: str) -> Finding:
    return Finding(
        code=WITHOUT_KEYS,
        severity=Severity.ERROR,
        message=f"There is no key in {source} that Envoy can verify with: the tokens of the rule are all refused",
        ref=ref,
        field=field,
        hint="Give it a JSON Web Key Set with an RSA, EC, OKP (Ed25519) or oct key that is made for signatures",
    )
