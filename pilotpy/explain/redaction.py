"""From plain data of Envoy's API to the same without what is secret in it: private keys, passwords, tickets.

Envoy redacts its own dumps (``udpa.annotations.sensitive``), but for key sets of token issuers, in which keys may be
shared ones; files and other control planes need not have. Names of files and other places where a secret lies are
kept: they tell where to look. Source: the fields so annotated in
envoy/extensions/transport_sockets/tls/v3/common.proto and secret.proto; istiod redacts the pull secret of Wasm images.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

REDACTED: Final = "[redacted]"
_SECRET: Final = frozenset(
    {"private_key", "private_key_provider", "pkcs12", "password", "session_ticket_keys", "generic_secret"}
)
_SECRET_TEXT: Final = frozenset({"ISTIO_META_WASM_IMAGE_PULL_SECRET", "access_token", "json_key"})
_KEY_SET: Final = "local_jwks"
_WRITTEN_KEY_SET: Final = "jwks"  # of a RequestAuthentication
_NOT_PUBLIC: Final = frozenset({"k", "d", "p", "q", "dp", "dq", "qi", "oth"})  # RFC 7518, section 6
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_BYTES: Final = b64encode(REDACTED.encode()).decode()


def redacted(value: Any) -> Any:
    """Return plain data with every secret replaced; what has none is equal to what it was.

    Fields go by their names in .proto files or in ProtoJSON.
    """
    if isinstance(value, Mapping):
        return {key: _shown(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _shown(key: str, value: Any) -> Any:
    name = _name(key)
    if name == _KEY_SET and isinstance(value, Mapping):
        return {place: _public(_name(place), inner) for place, inner in value.items()}
    if name == _WRITTEN_KEY_SET and isinstance(value, str):
        return _public_keys(value)
    if name in _SECRET or (key in _SECRET_TEXT and isinstance(value, str)):
        return _hidden(value)
    return redacted(value)


def _name(key: str) -> str:
    """A field's name in its .proto file."""
    return key if key.islower() else _HUMP.sub(r"_\1", key).lower()


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _told(_name(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return REDACTED


def _told(key: str, value: Any) -> Any:
    if key in {"filename", "environment_variable", "provider_name", "@type"}:
        return value
    return _BYTES if key == "inline_bytes" else _hidden(value)


def _public(place: str, value: Any) -> Any:
    """A source of a key set, without what issuers keep to themselves; what cannot be read is hidden."""
    if place == "inline_string":
        return _public_keys(value)
    if place == "inline_bytes":
        try:
            return b64encode(_public_keys(b64decode(value)).encode()).decode()
        except (binascii.Error, ValueError, TypeError):
            return _BYTES
    return _told(place, value)


def _public_keys(text: str | bytes) -> str:
    try:
        keys = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])["keys"]
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError):
        return REDACTED
    if not any(_NOT_PUBLIC & key.keys() for key in keys):
        return text if isinstance(text, str) else text.decode()
    shown = [{name: REDACTED if name in _NOT_PUBLIC else part for name, part in key.items()} for key in keys]
    return msgspec.json.encode({"keys": shown}).decode()
