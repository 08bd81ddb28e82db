"""Keys of token issuers: where they are to be had, and what came of fetching them.

Source: RFC 7517 (JSON Web Key Sets), OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple


class KeySource(NamedTuple):
    """Where the keys of an issuer are. Exactly one of `uri` and `issuer` is not empty."""

    uri: str  # of the key set
    issuer: str  # else of whoever describes itself at /.well-known/openid-configuration
    timeout: timedelta  # for all of a fetch

    def __str__(self) -> str:
        return self.uri or self.issuer


class KeySet(NamedTuple):
    """What came of fetching keys."""

    text: str = ""  # JSON, as last fetched; "": never yet
    failure: str = ""  # why the last attempt failed; "": it did not
