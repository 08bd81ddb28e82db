"""RequestAuthentication: which JSON Web Tokens are valid.

Source: istio/api security/v1beta1/request_authentication.proto.
"""

from __future__ import annotations

from pilotpy.model.message import Duration, Message
from pilotpy.model.selector import PolicyTargetReference, WorkloadSelector


class RequestAuthentication(Message, frozen=True):
    """Rules for the tokens of requests; a request without a token passes."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()


class JWTRule(Message, frozen=True):
    """An issuer, its keys, and where its tokens are found."""

    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    from_cookies: tuple[str, ...] = ()
    forward_original_token: bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    timeout: Duration | None = None
    space_delimited_claims: tuple[str, ...] = ()


class JWTHeader(Message, frozen=True):
    """A header that carries a token."""

    name: str = ""  # required
    prefix: str = ""


class ClaimToHeader(Message, frozen=True):
    """A claim that is copied to a header."""

    header: str = ""  # required
    claim: str = ""  # required
