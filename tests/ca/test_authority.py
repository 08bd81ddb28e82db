"""What is issued: by the table of section 1.4 of istiod's contract, whatever the request says."""

import dataclasses
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilotpy_ca.authority import Authority
from pilotpy_ca.csr import new_request
from pilotpy_ca.errors import Banned, CsrError, GenerationError, NotReady, TtlError
from pilotpy_ca.keys import KeyType, PrivateKey, signature_hash
from pilotpy_ca.leaf import names_of
from tests.ca.scenery import CSR, DAY, HOUR, NOW, SLEEP, TERMS, below, keeper, leaf_of, root, slots, trusts


def authority(signer=None, **terms):
    return Authority(slots(signer or root()), dataclasses.replace(TERMS, **terms))


def request(subject=(), extensions=(), kind=KeyType.P256):
    key = PrivateKey.new(kind)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(list(subject)))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(key.signing, signature_hash(key.public)).public_bytes(Encoding.PEM)


def test_a_leaf_has_the_form_of_istiods():
    leaf = leaf_of(authority().issue(CSR, [SLEEP], None, NOW))
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=2)
    assert leaf.not_valid_after_utc == NOW + DAY
    assert not list(leaf.subject)
    found = {type(extension.value): extension for extension in leaf.extensions}
    assert found[x509.SubjectAlternativeName].critical
    assert found[x509.BasicConstraints].value == x509.BasicConstraints(ca=False, path_length=None)
    usage = found[x509.KeyUsage].value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert set(found[x509.ExtendedKeyUsage].value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }
    assert names_of(leaf) == (SLEEP,)


@pytest.mark.parametrize("kind", list(KeyType))
def test_every_kind_of_root_signs_what_others_verify(kind):
    signer = root(kind=kind)
    assert signer.key.kind is kind
    chain = authority(signer).issue(CSR, [SLEEP], None, NOW)
    assert trusts(authority(signer).roots, chain, NOW)
    assert not trusts(authority().roots, chain, NOW)


def test_the_chain_has_an_element_for_each_intermediate_and_the_whole_bundle_last():
    bundle = root()
    signer = below(below(bundle, name="upper"), name="lower", roots=(*bundle.roots, root().certificate))
    chain = authority(signer).issue(CSR, [SLEEP], None, NOW)
    blocks = [element.count("-----BEGIN CERTIFICATE-----") for element in chain.elements]
    assert blocks == [1, 1, 1, 2]
    assert all(element.endswith("-----END CERTIFICATE-----\n") for element in chain.elements)
    assert trusts(bundle_pem := authority(bundle).roots, chain, NOW), bundle_pem


def test_a_chain_by_the_root_itself_has_two_elements():
    assert len(authority().issue(CSR, [SLEEP], None, NOW).elements) == 2


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        pytest.param(None, DAY, id="nothing asked: the default"),
        pytest.param(timedelta(0), DAY, id="zero: the default"),
        pytest.param(timedelta(seconds=-5), DAY, id="less than zero: the default"),
        pytest.param(HOUR, HOUR, id="an hour"),
        pytest.param(90 * DAY, 90 * DAY, id="as long as may be"),
    ],
)
def test_life_is_as_asked(asked, given):
    assert leaf_of(authority().issue(CSR, [SLEEP], asked, NOW)).not_valid_after_utc == NOW + given


def test_more_life_than_may_be_given_is_refused_not_cut():
    with pytest.raises(TtlError):
        authority().issue(CSR, [SLEEP], 90 * DAY + timedelta(seconds=1), NOW)


@pytest.mark.parametrize(
    "signer",
    [
        pytest.param(lambda: root(life=3 * HOUR), id="the root ends first"),
        pytest.param(lambda: below(root(), life=3 * HOUR), id="the signer ends first"),
        pytest.param(lambda: below(below(root(), life=3 * HOUR), life=3 * HOUR), id="one in between ends first"),
    ],
)
def test_no_leaf_outlives_any_of_its_chain(signer):
    assert leaf_of(authority(signer()).issue(CSR, [SLEEP], DAY, NOW)).not_valid_after_utc == NOW + 3 * HOUR


@pytest.mark.parametrize(
    "now", [pytest.param(NOW + 11 * 365 * DAY, id="after its end"), pytest.param(NOW - DAY, id="before its begin")]
)
def test_a_signer_signs_only_while_it_is_valid(now):
    with pytest.raises(NotReady):
        authority().issue(CSR, [SLEEP], None, now)


@pytest.mark.parametrize(
    ("identity", "subject"),
    [
        pytest.param(SLEEP, SLEEP, id="short enough"),
        pytest.param(f"spiffe://cluster.local/ns/{'n' * 40}/sa/a", "", id="longer than 64 characters"),
    ],
)
def test_a_request_with_a_common_name_gets_its_first_identity_as_subject(identity, subject):
    asked = request([x509.NameAttribute(NameOID.COMMON_NAME, "root of all")])
    leaf = leaf_of(authority().issue(asked, [identity], None, NOW))
    assert [name.value for name in leaf.subject] == ([subject] if subject else [])


@pytest.mark.parametrize(
    "extension",
    [
        pytest.param(x509.BasicConstraints(ca=True, path_length=None), id="it wants to be an authority"),
        pytest.param(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/kube-system/sa/admin")]
            ),
            id="it wants to be somebody else",
        ),
    ],
)
def test_what_a_request_claims_is_ignored(extension):
    leaf = leaf_of(authority().issue(request(extensions=[extension]), [SLEEP], None, NOW))
    assert names_of(leaf) == (SLEEP,)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_names_are_of_the_kind_that_they_look_like():
    names = [SLEEP, "istiod.istio-system.svc", "10.0.0.1", "fd00::1"]
    assert names_of(leaf_of(authority().issue(CSR, names, None, NOW))) == tuple(names)


def test_nobody_gets_no_certificate():
    with pytest.raises(GenerationError):
        authority().issue(CSR, [], None, NOW)


def test_a_name_that_cannot_be_written_is_an_error_of_the_tree():
    with pytest.raises(GenerationError):
        authority().issue(CSR, ["spiffe://cluster.local/ns/größe/sa/a"], None, NOW)


def test_a_servers_certificate_names_its_names_sorted():
    identity = authority().issue_server(["b.svc", "a.svc", "b.svc"], NOW)
    assert names_of(leaf_of(identity.chain)) == ("a.svc", "b.svc")
    assert leaf_of(identity.chain).public_key() == identity.key.public


def test_a_banned_name_gets_nothing_until_the_ban_is_lifted():
    kept = keeper()
    kept.revoke(SLEEP, NOW, ban=True)
    with pytest.raises(Banned):
        kept.authority.issue(CSR, [SLEEP], None, NOW)
    kept.unban(SLEEP)
    assert kept.authority.issue(CSR, [SLEEP], None, NOW)


def test_serials_differ():
    signing = authority()
    assert len({signing.issue(CSR, [SLEEP], None, NOW).serial for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(lambda key: f"{key!r:.500}", id="format"),
        pytest.param(lambda key: str(vars(type(key)).keys()), id="names"),
    ],
)
def test_a_key_does_not_show_itself(shown):
    key = PrivateKey.new(KeyType.P256)
    secret = f"{key.signing.private_numbers().private_value}"
    assert secret not in shown(key)
    assert "PRIVATE" not in shown(key)


def test_a_key_is_not_pickled():
    import pickle

    with pytest.raises(TypeError, match="not copied"):
        pickle.dumps(PrivateKey.new(KeyType.P256))


def test_a_request_of_our_own_is_one_that_we_sign():
    for kind in (KeyType.RSA_2048, KeyType.P384):
        assert authority().issue(new_request(PrivateKey.new(kind)), [SLEEP], None, NOW)


def test_errors_of_requests_are_errors_of_requests():
    with pytest.raises(CsrError):
        authority().issue(b"", [SLEEP], None, NOW)


def test_roots_of_others_are_published_and_each_only_once():
    signing, other = authority(), root()
    heard = []
    forget = signing.on_change(lambda: heard.append(len(signing.roots)))
    signing.adopt(signing.slots, extra_roots=[other.certificate, *signing.slots.roots, other.certificate])
    assert len(signing.roots) == len(signing.root_fingerprints) == 2
    assert signing.issue(CSR, [SLEEP], None, NOW).elements[-1].count("BEGIN") == 2
    signing.adopt(signing.slots)
    assert len(signing.roots) == 2, "what is not given stays"
    forget()
    signing.adopt(signing.slots, extra_roots=[])
    assert heard == [2, 2]
