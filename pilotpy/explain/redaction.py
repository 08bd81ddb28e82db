"""From plain data of Envoy's API to the same without what is secret in it: private keys, passwords, tickets.

Envoy redacts its own dumps (``udpa.annotations.sensitive``); files and other control planes need not have. Names of
files and other places where a secret lies are kept: they tell where to look. Source: the fields so annotated in
envoy/extensions/transport_sockets/tls/v3/common.proto and secret.proto; istiod redacts the pull secret of Wasm images.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
_SECRET: Final = frozenset(
    {"private_key", "private_key_provider", "pkcs12", "password", "session_ticket_keys", "generic_secret"}
)
_SECRET_TEXT: Final = frozenset({"ISTIO_META_WASM_IMAGE_PULL_SECRET", "access_token", "json_key"})
_BYTES: Final = b64encode(REDACTED.encode()).decode()


def redacted(value: Any) -> Any:
    """Return plain data (proto field names) with every secret replaced; what has none is equal to what it was."""
    if isinstance(value, Mapping):
        return {key: _hidden(inner) if _is_secret(key, inner) else redacted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _is_secret(key: str, value: Any) -> bool:
    return key in _SECRET or (key in _SECRET_TEXT and isinstance(value, str))


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _told(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return REDACTED


def _told(key: str, value: Any) -> Any:
    if key in {"filename", "environment_variable", "provider_name", "@type"}:
        return value
    return _BYTES if key == "inline_bytes" else _hidden(value)
