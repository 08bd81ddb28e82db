"""Tokens of strangers, and our own."""

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy_ca.errors import TokenError
from pilotpy_ca.jwt import MAX_KEYS, MAX_TOKEN, jwks_of, signed_token, verified, verifying_keys
from pilotpy_ca.keys import KeyType, PrivateKey
from tests.ca.scenery import DAY, NOW

KEY = PrivateKey.new(KeyType.P256)
KEYS = verifying_keys(jwks_of(KEY))
AT = int(NOW.timestamp())
CLAIMS = {"iss": "us", "sub": "system:serviceaccount:ns:sa", "aud": ["istio-ca"], "exp": AT + 3600, "nbf": AT}
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
POINTS = {name: ec.generate_private_key(curve) for name, curve in CURVES.items()}
SHA = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(content):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def jwk(key, **more):
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **more}
    numbers, name = public.public_numbers(), next(name for name, key_ in POINTS.items() if key_ is key)
    return {"kty": "EC", "crv": name, "x": number(numbers.x), "y": number(numbers.y), **more}


def jwks(*keys):
    return json.dumps({"keys": list(keys)}).encode()


def sign(algorithm, signed):
    sha = SHA.get(algorithm[2:])
    match algorithm[:2]:
        case "RS":
            return RSA.sign(signed, padding.PKCS1v15(), sha)
        case "PS":
            return RSA.sign(signed, padding.PSS(padding.MGF1(sha), sha.digest_size), sha)
        case "ES":
            key = POINTS[{"256": "P-256", "384": "P-384", "512": "P-521"}[algorithm[2:]]]
            size = (key.key_size + 7) // 8
            return b"".join(
                half.to_bytes(size, "big") for half in utils.decode_dss_signature(key.sign(signed, ec.ECDSA(sha)))
            )
        case _:
            return ED.sign(signed)


def token(header, claims=CLAIMS, signature=None):
    signed = f"{b64(header)}.{b64(claims)}"
    return f"{signed}.{b64(signature if signature is not None else sign(header['alg'], signed.encode()))}"


ALL = verifying_keys(jwks(jwk(RSA), jwk(ED), *map(jwk, POINTS.values())))


@pytest.mark.parametrize("algorithm", [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in SHA] + ["EdDSA"])
def test_every_algorithm_with_public_keys_is_verified(algorithm):
    assert verified(token({"alg": algorithm}), ALL, NOW).subject == CLAIMS["sub"]
    with pytest.raises(TokenError, match="signature"):
        verified(
            token({"alg": algorithm}, {**CLAIMS, "sub": "x"}, token({"alg": algorithm}).rpartition(".")[2].encode()),
            ALL,
            NOW,
        )


def hmac_of_the_public_key():
    """The confusion of CVE-2015-9235: the public key as the secret of an HMAC."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{b64({'alg': 'HS256'})}.{b64(CLAIMS)}"
    mac = hmac.HMAC(pem, hashes.SHA256())
    mac.update(signed.encode())
    return f"{signed}.{b64(mac.finalize())}"


GOOD = signed_token(KEY, CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(".")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "three parts", id="nothing"),
        pytest.param("a.b", "three parts", id="two parts"),
        pytest.param("a.b.c.d", "three parts", id="four parts"),
        pytest.param("..", "base64url", id="three empty parts"),
        pytest.param(f"{HEAD}.{BODY}.", "base64url", id="no signature"),
        pytest.param(f"{HEAD}.{BODY}.{SIGNATURE}=", "base64url", id="padding"),
        pytest.param(f"{HEAD}.{BODY}.{SIGNATURE}\n", "base64url", id="a newline at the end"),
        pytest.param(f"{HEAD}.{BODY}.ü", "base64url", id="letters of other languages"),
        pytest.param("a" * (MAX_TOKEN + 1), "are allowed", id="too long"),
        pytest.param(f"{b64([])}.{BODY}.{SIGNATURE}", "not a signed token", id="a header that is a list"),
        pytest.param(f"{HEAD}.{b64(b'[' * 5000)}.{SIGNATURE}", "not a signed token", id="brackets without end"),
        pytest.param(f"{b64({'alg': 'none'})}.{BODY}.{SIGNATURE}", "no key for algorithm 'none'", id="none"),
        pytest.param(f"{b64({'alg': 'None'})}.{BODY}.{SIGNATURE}", "no key for algorithm", id="None"),
        pytest.param(hmac_of_the_public_key(), "no key for algorithm 'HS256'", id="an HMAC by the public key"),
        pytest.param(f"{b64({'alg': 'RS256'})}.{BODY}.{SIGNATURE}", "no key for algorithm", id="another algorithm"),
        pytest.param(f"{b64({'alg': 'ES256', 'kid': 'x'})}.{BODY}.{SIGNATURE}", "key id 'x'", id="another key's id"),
        pytest.param(
            f"{b64({'alg': 'ES256', 'crit': ['b64']})}.{BODY}.{SIGNATURE}", "critical", id="critical extensions"
        ),
        pytest.param(
            f"{b64({'alg': 'ES256', 'jwk': jwk(POINTS['P-256'])})}.{BODY}.{SIGNATURE}",
            "signature",
            id="a key of its own",
        ),
        pytest.param(f"{HEAD}.{b64({**CLAIMS, 'sub': 'admin'})}.{SIGNATURE}", "signature", id="other claims"),
        pytest.param(f"{HEAD}.{BODY}.{b64(bytes(64))}", "signature", id="a signature of zeros (CVE-2022-21449)"),
        pytest.param(f"{HEAD}.{BODY}.{b64(b'x' * 63)}", "signature", id="a short signature"),
    ],
)
def test_proves_nothing(text, reason):
    with pytest.raises(TokenError, match=reason) as raised:
        verified(text, KEYS, NOW)
    assert SIGNATURE not in str(raised.value), "a token is not for logs"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"exp": None}, "no end", id="it never ends"),
        pytest.param({"exp": AT - 61}, "ended at", id="it has ended"),
        pytest.param({"exp": "soon"}, "exp is not a time", id="its end is text"),
        pytest.param({"exp": True}, "exp is not a time", id="its end is true"),
        pytest.param({"exp": -1}, "exp is not a time", id="it ended before time began"),
        pytest.param({"exp": 1e300}, "exp is not a time", id="it ends when no clock does"),
        pytest.param({"exp": 10**30}, "exp is not a time|not a signed token", id="its end is a large number"),
        pytest.param({"nbf": AT + 61}, "not valid before", id="it has not begun"),
        pytest.param({"sub": 5}, "have to be text", id="its subject is a number"),
        pytest.param({"sub": None}, "have to be text", id="its subject is null"),
        pytest.param({"aud": {"a": "b"}}, "have to be text", id="its audience is an object"),
        pytest.param({"aud": [1]}, "have to be text", id="its audience is a number"),
        pytest.param({"iss": ["us"]}, "have to be text", id="its issuer is a list"),
    ],
)
def test_signed_but_wrong(change, reason):
    with pytest.raises(TokenError, match=reason):
        verified(signed_token(KEY, {**CLAIMS, **change}), KEYS, NOW)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"exp": AT - 59}, id="ended within a minute"),
        pytest.param({"nbf": AT + 59}, id="begins within a minute"),
        pytest.param({"nbf": None}, id="without a begin"),
        pytest.param({"aud": "istio-ca"}, id="with one audience"),
        pytest.param({"exp": AT + 0.5}, id="with parts of a second"),
        pytest.param({"exp": 253402300799}, id="until the last second of the year 9999"),
    ],
)
def test_signed_and_right(change):
    assert verified(signed_token(KEY, {**CLAIMS, **change}), KEYS, NOW).audiences == ("istio-ca",)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no keys"),
        pytest.param(b'{"keys": []}', id="an empty list"),
        pytest.param(b'{"keys": "all"}', id="keys that are text"),
        pytest.param(b"[" * 100_000, id="brackets without end"),
        pytest.param(b'{"keys": [{"kty": "\xff"}]}', id="bytes that are no text"),
        pytest.param(b" " * (MAX_KEYS + 1), id="too large"),
        pytest.param(jwks(*[{"kty": "RSA"}] * 201), id="too many"),
        pytest.param(jwks({"kty": "oct", "k": "c2VjcmV0"}), id="a secret"),
        pytest.param(jwks({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), id="a tiny RSA key"),
        pytest.param(jwks({"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}), id="a point beside its curve"),
        pytest.param(jwks({"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"}), id="another curve"),
        pytest.param(jwks(jwk(RSA, use="enc")), id="a key to encrypt with"),
        pytest.param(jwks(jwk(RSA, alg="ES256")), id="a key that contradicts itself"),
        pytest.param(jwks({"kty": 7}, {}, {"kty": "OKP", "crv": "X25519", "x": "AQ"}), id="none that is known"),
    ],
)
def test_no_keys(keys):
    with pytest.raises(TokenError):
        verifying_keys(keys)


def test_of_a_key_set_what_is_known_is_taken():
    assert len(verifying_keys(jwks({"kty": "new"}, jwk(RSA, kid="a"), {"kty": 5}))) == 1


def test_a_token_without_a_key_id_costs_a_few_verifications_only():
    keys = verifying_keys(jwks(*[jwk(RSA, kid=str(number)) for number in range(200)]))
    tried = []

    def counting(verify):
        return lambda *both: tried.append(both) or verify(*both)

    counted = tuple(key._replace(algorithms={"RS256": counting(key.algorithms["RS256"])}) for key in keys)
    with pytest.raises(TokenError):
        verified(token({"alg": "RS256"}, signature=b"x" * 256), counted, NOW)
    assert len(tried) == 8


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=300) | st.builds(lambda *parts: ".".join(map(b64, parts)), *[st.binary(max_size=80)] * 3))
def test_text_is_a_token_or_a_refusal(text):
    with pytest.raises(TokenError):
        verified(text, KEYS, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "kubernetes.io", "x"]), JSON))
def test_any_signed_claims_are_claims_or_a_refusal(claims):
    try:
        said = verified(token({"alg": "ES256"}, claims), ALL, NOW)
    except TokenError:
        return
    assert said.ends > NOW - timedelta(minutes=1)
    assert isinstance(said.subject, str)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("kty", "n", "e", "crv", "x", "y", "use", "alg", "kid"), JSON)))
def test_any_key_is_a_key_or_left_out(key):
    assert len(verifying_keys(jwks(key, jwk(RSA)))) in {1, 2}


def test_our_tokens_are_read_by_the_rules_of_others():
    header = json.loads(base64.urlsafe_b64decode(HEAD + "=="))
    assert header == {"alg": "ES256", "kid": json.loads(jwks_of(KEY))["keys"][0]["kid"], "typ": "JWT"}
    assert verified(GOOD, KEYS, NOW).ends == NOW + DAY / 24
