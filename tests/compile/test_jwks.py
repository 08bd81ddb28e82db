"""Key sets as Envoy takes them: with something to verify with, and nothing to sign with."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.compile.features.jwks import usable
from pilotpy.mesh.request_authentication import NO_KEYS


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


N = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
EDWARDS = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

RSA = {"kty": "RSA", "n": number(N), "e": "AQAB"}
EC = {"kty": "EC", "crv": "P-256", "x": number(POINT.x), "y": number(POINT.y)}
OKP = {"kty": "OKP", "crv": "Ed25519", "x": text(EDWARDS)}
OCT = {"kty": "oct", "k": "c2VjcmV0"}

GOOD = {
    "RSA": RSA,
    "RSA for one algorithm": RSA | {"alg": "PS512", "kid": "k", "use": "sig"},
    "an elliptic curve": EC,
    "an elliptic curve for its algorithm": EC | {"alg": "ES256"},
    "Edwards' curve": OKP,
    "a shared key": OCT,
}
BAD = {
    "another kind": {"kty": "zz"},
    "no kind": {},
    "no object": 7,
    "RSA for encryption": RSA | {"alg": "RSA-OAEP"},
    "RSA without a modulus": {"kty": "RSA", "e": "AQAB"},
    "RSA that is no number": RSA | {"n": "not base64!"},
    "an even exponent": RSA | {"e": "Ag"},
    "an elliptic curve's point off the curve": EC | {"x": "eA"},
    "an elliptic curve for another algorithm": EC | {"alg": "ES384"},
    "a curve that is not known": EC | {"crv": "secp256k1"},
    "Edwards' other curve": OKP | {"crv": "Ed448"},
    "a point of the wrong size": OKP | {"x": "eA"},
    "a shared key that is empty": OCT | {"k": ""},
    "an identifier that is no text": RSA | {"kid": 7},
    "a kind that is no text": {"kty": ["RSA"]},
}


@pytest.mark.parametrize("key", GOOD.values(), ids=GOOD)
def test_a_key_is_usable(key):
    assert json.loads(usable(json.dumps({"keys": [7, key]}))) == {"keys": [key]}


@pytest.mark.parametrize("key", BAD.values(), ids=BAD)
def test_a_key_is_not_usable(key):
    assert usable(json.dumps({"keys": [key]})) == ""


@pytest.mark.parametrize("written", ["", "[]", "7", '{"keys": {}}', '{"keys": []}', "{", "[" * 100_000])
def test_what_is_no_key_set_is_not_usable(written):
    assert usable(written) == ""


def test_what_is_private_is_not_shown():
    private = RSA | dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), "AQAB")
    assert json.loads(usable(json.dumps({"keys": [private]}))) == {"keys": [RSA]}


def test_the_set_that_verifies_nothing_is_one_that_envoy_takes():
    assert usable(NO_KEYS)


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3)
NAMES = st.sampled_from(["kty", "alg", "kid", "crv", "n", "e", "x", "y", "k"])
VALUES = ANYTHING | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB"])


@given(key=st.dictionaries(NAMES, VALUES))
def test_nothing_is_raised_whatever_a_key_is(key):
    assert isinstance(usable(json.dumps({"keys": [key]})), str)
