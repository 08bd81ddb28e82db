"""JSON Web Tokens: from bytes of a stranger to claims that somebody signed, and from claims to a token.

Public keys only: no `none`, no HMAC, no embedded keys, no critical extensions. The key decides which algorithm it is
used with, the token's word has to agree. Sources: RFC 7515 (JWS), 7517 (JWK), 7518 (JWA), 7519 (JWT), 8725 (practice).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from pilotpy_ca.errors import KeyRefused, TokenError
from pilotpy_ca.keys import PrivateKey, accepted, key_id

MAX_TOKEN: Final = 16 << 10  # bytes; a projected token takes about 1 KiB
MAX_KEYS: Final = 1 << 20  # bytes of a key set
_MOST_KEYS: Final = 200
_MOST_TRIED: Final = 8  # keys for one token: each costs a verification
_LEEWAY: Final = timedelta(minutes=1)  # that an issuer's clock may be ahead or behind
_FAR: Final = 253402300800  # the year 10000 in seconds: datetime ends there
_SECTION: Final = re.compile(rb"[A-Za-z0-9_-]+")

_Verify = Callable[[bytes, bytes], None]  # signature, signed; raises InvalidSignature
_SHA: Final[Mapping[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: Final[Mapping[str, tuple[type[ec.EllipticCurve], str, int]]] = {
    "P-256": (ec.SECP256R1, "ES256", 32),
    "P-384": (ec.SECP384R1, "ES384", 48),
    "P-521": (ec.SECP521R1, "ES512", 66),
}


class VerifyingKey(NamedTuple):
    """A public key of an issuer, with what it may be used for."""

    kid: str  # "": not told
    algorithms: Mapping[str, _Verify]


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: Any = None


class _Jwk(msgspec.Struct):
    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""


class _JwkSet(msgspec.Struct):
    keys: list[dict[str, Any]]


class Claims(NamedTuple):
    """What a token says, verified."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    ends: datetime
    all: Mapping[str, Any]


def verifying_keys(jwks: bytes) -> tuple[VerifyingKey, ...]:
    """The keys of a JSON Web Key Set that can verify tokens, in their order. Keys of other kinds are left out.

    Raises `TokenError` if it is not a set, too large, or has no such key.
    """
    if len(jwks) > MAX_KEYS:
        raise TokenError(f"a key set of {len(jwks)} bytes; {MAX_KEYS} are allowed")
    try:
        found = msgspec.json.decode(jwks, type=_JwkSet).keys
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, as are those of its UTF-8
        raise TokenError(f"not a JSON Web Key Set: {error}") from None
    if len(found) > _MOST_KEYS:
        raise TokenError(f"a key set of {len(found)} keys; {_MOST_KEYS} are allowed")
    keys = tuple(key for key in map(_verifying_key, found) if key is not None)
    if not keys:
        raise TokenError("no key of the set can verify tokens")
    return keys


def verified(token: str, keys: tuple[VerifyingKey, ...], now: datetime) -> Claims:
    """The claims of a token that one of the keys signed and that is valid now. Issuer and audience are not compared.

    Raises `TokenError`, and nothing else, whatever the token is; the message does not repeat it.
    """
    signed, signature, header, claims = _parts(token)
    if header.crit is not None:
        raise TokenError("the token has critical extensions")
    fit = [key for key in keys if header.alg in key.algorithms and (not header.kid or key.kid in {"", header.kid})]
    if not fit:
        raise TokenError(f"no key for algorithm {header.alg[:20]!r} and key id {header.kid[:80]!r}")
    for key in fit[:_MOST_TRIED]:
        try:
            key.algorithms[header.alg](signature, signed)
        except InvalidSignature:
            continue
        return _in_time(claims, now)
    raise TokenError("the signature is by none of the keys")


def signed_token(key: PrivateKey, claims: Mapping[str, Any]) -> str:
    """A token with these claims, by an ECDSA key on P-256."""
    assert isinstance(key.signing, ec.EllipticCurvePrivateKey), "tokens are signed with P-256"
    header = msgspec.json.encode({"alg": "ES256", "kid": key_id(key.public), "typ": "JWT"})
    signed = b".".join((_encoded(header), _encoded(msgspec.json.encode(claims))))
    r, s = decode_dss_signature(key.signing.sign(signed, ec.ECDSA(hashes.SHA256())))
    return b".".join((signed, _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big")))).decode()


def jwks_of(key: PrivateKey) -> bytes:
    """The JSON Web Key Set with the public half of a P-256 key."""
    assert isinstance(key.public, ec.EllipticCurvePublicKey), "tokens are signed with P-256"
    numbers = key.public.public_numbers()
    x, y = (_encoded(number.to_bytes(32, "big")).decode() for number in (numbers.x, numbers.y))
    kid = key_id(key.public)
    jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y}
    return msgspec.json.encode({"keys": [jwk]})


def _parts(token: str) -> tuple[bytes, bytes, _Header, dict[str, Any]]:
    if len(token) > MAX_TOKEN:
        raise TokenError(f"a token of {len(token)} characters; {MAX_TOKEN} are allowed")
    sections = token.encode(errors="replace").split(b".")
    if len(sections) != 3:
        raise TokenError("not a signed token: three parts are needed")
    try:
        header, body, signature = map(_decoded, sections)
        return (
            sections[0] + b"." + sections[1],
            signature,
            msgspec.json.decode(header, type=_Header),
            msgspec.json.decode(body, type=dict[str, Any]),
        )
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise TokenError(f"not a signed token: {error}") from None


def _in_time(claims: dict[str, Any], now: datetime) -> Claims:
    ends, begins = (_moment(claims, name, now) for name in ("exp", "nbf"))
    if ends is None:
        raise TokenError("the token has no end")
    if now - _LEEWAY >= ends:
        raise TokenError(f"the token ended at {ends:%Y-%m-%d %H:%M:%S}")
    if begins is not None and now + _LEEWAY < begins:
        raise TokenError(f"the token is not valid before {begins:%Y-%m-%d %H:%M:%S}")
    issuer, subject, audience = claims.get("iss", ""), claims.get("sub", ""), claims.get("aud", [])
    audiences = [audience] if isinstance(audience, str) else audience
    texts = [issuer, subject, *(audiences if isinstance(audiences, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise TokenError("iss, sub and aud have to be text")
    return Claims(issuer, subject, tuple(audiences), ends, claims)


def _moment(claims: dict[str, Any], name: str, now: datetime) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _FAR:
        raise TokenError(f"{name} is not a time")
    return datetime.fromtimestamp(value, now.tzinfo)


def _verifying_key(raw: dict[str, Any]) -> VerifyingKey | None:
    try:
        jwk = msgspec.convert(raw, _Jwk)
        if jwk.use != "sig":
            return None
        algorithms = _algorithms(jwk)
    except (ValueError, KeyRefused, KeyError):  # msgspec's errors are ValueErrors
        return None
    if jwk.alg:
        algorithms = {name: verify for name, verify in algorithms.items() if name == jwk.alg}
    return VerifyingKey(jwk.kid, algorithms) if algorithms else None


def _algorithms(jwk: _Jwk) -> dict[str, _Verify]:
    match jwk.kty:
        case "RSA":
            key = rsa.RSAPublicNumbers(_number(jwk.e), _number(jwk.n)).public_key()
            accepted(key)
            return {f"RS{size}": _rsa(key, sha()) for size, sha in _SHA.items()} | {
                f"PS{size}": _rsa(key, sha(), pss=True) for size, sha in _SHA.items()
            }
        case "EC":
            curve, name, size = _CURVES[jwk.crv]
            point = ec.EllipticCurvePublicNumbers(_number(jwk.x), _number(jwk.y), curve()).public_key()
            return {name: _ecdsa(point, _SHA[name[2:]](), size)}
        case "OKP" if jwk.crv == "Ed25519":
            return {"EdDSA": ed25519.Ed25519PublicKey.from_public_bytes(_decoded(jwk.x.encode())).verify}
    return {}


def _rsa(key: rsa.RSAPublicKey, sha: hashes.HashAlgorithm, *, pss: bool = False) -> _Verify:
    pad = padding.PSS(padding.MGF1(sha), sha.digest_size) if pss else padding.PKCS1v15()
    return lambda signature, signed: key.verify(signature, signed, pad, sha)


def _ecdsa(key: ec.EllipticCurvePublicKey, sha: hashes.HashAlgorithm, size: int) -> _Verify:
    def verify(signature: bytes, signed: bytes) -> None:
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(sha))

    return verify


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text.encode()), "big")


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decoded(section: bytes) -> bytes:
    if not _SECTION.fullmatch(section):
        raise ValueError("not base64url without padding")
    try:
        return base64.urlsafe_b64decode(section + b"=" * (-len(section) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
