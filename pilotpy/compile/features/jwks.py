"""From a JSON Web Key Set as somebody wrote it to one that Envoy takes: with a key that it can use, and none private.

Envoy passes over keys that it cannot use, but a set without any that it can would cost the workload its listener.
Source: RFC 7517, RFC 7518 section 6, RFC 8037; Envoy's source/common/jwt/jwks.cc.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, str]]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}
# "": the key is for any of them.
_RSA_SIGNS: Final = frozenset({"", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SHARED_SIGNS: Final = frozenset({"", "HS256", "HS384", "HS512"})
_BASE64 = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def usable(text: str) -> str:
    """The set without what is private; "" if there is no key in it that Envoy is sure to take."""
    try:
        keys = msgspec.json.decode(text)["keys"]
    except (msgspec.DecodeError, RecursionError, UnicodeError, KeyError, TypeError):
        return ""
    if not isinstance(keys, list) or not any(map(_is_usable, keys)):
        return ""
    shown = [{name: key[name] for name in key if name not in _PRIVATE} for key in keys if isinstance(key, dict)]
    return msgspec.json.encode({"keys": shown}).decode()


def _is_usable(key: Any) -> bool:
    if not isinstance(key, dict) or not all(isinstance(key.get(name, ""), str) for name in ("kty", "kid", "alg")):
        return False
    check = _KINDS.get(key.get("kty", ""))
    try:
        return check is not None and check(key, key.get("alg", ""))
    except (ValueError, TypeError, KeyError):  # what is missing, is no base64, or is on no curve
        return False


def _rsa(key: Mapping[str, Any], algorithm: str) -> bool:
    rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    return algorithm in _RSA_SIGNS


def _elliptic(key: Mapping[str, Any], algorithm: str) -> bool:
    curve, signs = _CURVES[key.get("crv", "P-256")]
    ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()
    return algorithm in {"", signs}


def _edwards(key: Mapping[str, Any], algorithm: str) -> bool:
    ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
    return key["crv"] == "Ed25519" and algorithm in {"", "EdDSA"}


def _shared(key: Mapping[str, Any], algorithm: str) -> bool:
    return bool(_bytes(key["k"])) and algorithm in _SHARED_SIGNS


_KINDS: Final[Mapping[str, Callable[[Mapping[str, Any], str], bool]]] = {
    "RSA": _rsa,
    "EC": _elliptic,
    "OKP": _edwards,
    "oct": _shared,
}


def _bytes(text: str) -> bytes:
    if not _BASE64.fullmatch(text):
        raise ValueError(text)
    bare = text.rstrip("=")
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
