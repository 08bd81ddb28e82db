"""Requests of strangers."""

import base64
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy_ca.csr import MAX_BYTES, signing_request
from pilotpy_ca.errors import CsrError
from tests.ca.scenery import CSR

LINES = CSR.decode().strip().splitlines()
DER = base64.b64decode("".join(LINES[1:-1]))


def by(key, algorithm):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def block(der, name="CERTIFICATE REQUEST"):
    return f"-----BEGIN {name}-----\n{base64.encodebytes(der).decode()}-----END {name}-----\n".encode()


def other_signature():
    """A request whose signature is valid, by another key than the one that it holds."""
    other = ec.generate_private_key(ec.SECP256R1())
    theirs = x509.load_der_x509_csr(DER)
    resigned = other.sign(theirs.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
    at = DER.index(theirs.signature)
    # The signature is the last element: replace it and the lengths around it.
    algorithm = DER[len(theirs.tbs_certrequest_bytes) + 3 : at - 3]
    content = theirs.tbs_certrequest_bytes + algorithm + bytes([3, len(resigned) + 1, 0]) + resigned
    return bytes([0x30, 0x81, len(content)]) + content


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        pytest.param(b"", "exactly one", id="nothing"),
        pytest.param(b".", "exactly one", id="a dot"),
        pytest.param(b"\x00" * 100, "exactly one", id="zeros"),
        pytest.param(CSR + CSR, "exactly one", id="two requests"),
        pytest.param(b"hello\n" + CSR, "exactly one", id="text before it"),
        pytest.param(CSR + b"hello", "exactly one", id="text after it"),
        pytest.param(block(DER, "CERTIFICATE"), "exactly one", id="called a certificate"),
        pytest.param(block(DER[:-10]), "not a certificate signing request", id="cut off"),
        pytest.param(block(DER + b"more"), "not a certificate signing request", id="more after its end"),
        pytest.param(block(b"\x30\x84\xff\xff\xff\xff" + DER), "not a certificate", id="a length of 4 GiB"),
        pytest.param(block(b"\x30\x80" * 3000), "not a certificate", id="nested without end"),
        pytest.param(b"A" * (MAX_BYTES + 1), "are allowed", id="too large"),
        pytest.param(block(DER[:-4] + bytes(4)), "sign", id="a broken signature"),
        pytest.param(block(other_signature()), "signature is not by the key", id="signed by another key"),
        pytest.param(by(rsa.generate_private_key(65537, 1024), hashes.SHA256()), "1024 bits", id="a small RSA key"),
        pytest.param(by(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()), "secp256k1", id="another curve"),
        pytest.param(by(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()), "secp521r1", id="a larger curve"),
        pytest.param(by(ed25519.Ed25519PrivateKey.generate(), None), "neither", id="Ed25519, which Envoy cannot use"),
        pytest.param(by(dsa.generate_private_key(1024), hashes.SHA256()), "neither|not a cert", id="DSA"),
    ],
)
def test_is_refused(pem, reason):
    with pytest.raises(CsrError, match=reason):
        signing_request(pem)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(CSR, id="as cryptography writes it"),
        pytest.param(CSR.replace(b"\n", b"\r\n"), id="with the line ends of other systems"),
        pytest.param(b"\n\n" + CSR.rstrip(), id="with other white space around it"),
        pytest.param(CSR.replace(b"CERTIFICATE REQ", b"NEW CERTIFICATE REQ"), id="as Microsoft calls it"),
    ],
)
def test_is_taken(pem):
    assert signing_request(pem) == signing_request(CSR)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_bytes_are_a_request_or_a_refusal(content):
    for pem in (content, block(content)):
        with suppress(CsrError):
            signing_request(pem)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_request_with_a_few_bytes_changed_is_a_request_or_a_refusal(changes):
    changed = bytearray(DER)
    for at, value in changes:
        changed[at] = value
    try:
        request = signing_request(block(bytes(changed)))
    except CsrError:
        return
    assert bytes(changed) == DER or request.key, "only the same bytes have the same signature"
