"""From the RequestAuthentications of a workload to the rules that its tokens are verified by, each with its keys.

Source: istio/istio pilot/pkg/security/authn/policy_applier.go and pilot/pkg/model/jwks_resolver.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pilotpy.compile.features.jwt_authn import Verified
from pilotpy.engine import Asking
from pilotpy.mesh.kinds import REQUEST_AUTHENTICATIONS
from pilotpy.mesh.request_authentication import NO_KEYS, key_set, key_source
from pilotpy.model.resource import Finding, Ref, Severity

WITHOUT_KEYS: Final = "PP0404"  # keys of an issuer are not at hand


def token_rules(q: Asking, ref: Ref) -> Iterator[Verified]:
    """The rules of a RequestAuthentication, in order; leaves a note where keys are missing."""
    policy = q.get(REQUEST_AUTHENTICATIONS, ref.namespace, ref.name)
    for i, rule in enumerate(policy.spec.jwt_rules if policy else ()):
        source = key_source(rule)
        if source is None:
            yield Verified(rule, rule.jwks or NO_KEYS)
            continue
        keys = q(key_set, source)
        if keys.failure or not keys.text:
            field = f"spec.jwtRules[{i}]" + (".jwksUri" if source.uri else ".issuer")
            q.note(_no_keys(ref, field, str(source), keys.failure, stale=bool(keys.text)))
        yield Verified(rule, keys.text or NO_KEYS)


def _no_keys(ref: Ref, field: str, source: str, failure: str, *, stale: bool) -> Finding:
    if stale:
        message = f"The keys of {source} cannot be fetched again ({failure}): the last ones are used"
        severity = Severity.WARNING
    elif failure:
        message = f"The keys of {source} cannot be fetched ({failure}): its tokens are all refused"
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
