"""Tokens of an issuer that the people who run a mesh trust beside its own: the rule in `JWT_RULE`, and its keys.

Source: security/pkg/server/ca/authenticate/oidc.go of istio/istio; istio/api security/v1beta1/jwt.proto for the rule.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from pilotpy.engine import Put
from pilotpy.model.key_set import KeySet, KeySource
from pilotpy.ops.logs import fields
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.settings import Wrong
from pilotpy.xds.jwks import Door, fetched
from pilotpy.xds.key_keeper import KeyKeeper
from pilotpy_ca.authenticators import Jwt, TokenRule
from pilotpy_ca.errors import TokenError

_LOG: Final = logging.getLogger("pilotpy.oidc")
_TIMEOUT: Final = timedelta(seconds=5)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whose tokens are taken, and whom they have to be meant for."""

    issuer: str
    audiences: tuple[str, ...]
    jwks_uri: str = ""  # "": the issuer describes itself
    jwks: str = ""  # the keys themselves, instead


def rule_of(text: str) -> Rule:
    """The rule in a text, with names as in JSON or as in protobuf. Raises `Wrong`."""
    try:
        written: Any = msgspec.json.decode(text)
        if isinstance(written, dict) and "jwks_uri" in written:
            written["jwksUri"] = written.pop("jwks_uri")
        rule = msgspec.convert(written, Rule)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Wrong(f"JWT_RULE: {error}") from None
    if not rule.issuer or not rule.audiences:
        raise Wrong("JWT_RULE: issuer and audiences are needed; a token for anybody proves nothing here")
    return rule


class OidcTokens:
    """Takes such tokens, once it knows the keys."""

    def __init__(self, rule: Rule, trust_domain: Callable[[], str]) -> None:
        self.authenticator = Jwt(TokenRule(rule.issuer, frozenset(rule.audiences), trust_domain))
        self._source = KeySource(rule.jwks_uri, "" if rule.jwks_uri else rule.issuer, _TIMEOUT)
        self._given = rule.jwks
        if rule.jwks:
            try:
                self.authenticator.learn(rule.jwks.encode())
            except TokenError as error:
                raise Wrong(f"JWT_RULE: jwks: {error}") from None

    @contextlib.asynccontextmanager
    async def learning(self, door: Door, metrics: Metrics) -> AsyncIterator[None]:
        """Keep the keys fresh; those that were fetched once stay, whatever fails later."""
        if self._given:
            yield
            return
        keeper = KeyKeeper(lambda source: fetched(source, door), self._learn, metrics)
        keeper.want((self._source,))
        try:
            yield
        finally:
            await keeper.close()

    def _learn(self, puts: list[Put], _: list[str]) -> None:
        for put in puts:
            if isinstance(put.value, KeySet) and put.value.text:
                try:
                    self.authenticator.learn(put.value.text.encode())
                except TokenError as error:
                    _LOG.error("keys are of no use", extra=fields(source=str(self._source), reason=str(error)))
