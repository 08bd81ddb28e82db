"""Signers that somebody else made, and files that change while we run."""

import base64
import dataclasses
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy_ca.certificates import pem
from pilotpy_ca.errors import BundleError, RotationError
from pilotpy_ca.keys import KeyType, PrivateKey, signature_hash
from pilotpy_ca.leaf import LeafForm
from pilotpy_ca.plugged_in import PluggedInFolder
from pilotpy_ca.revocation import Revocations, crl
from pilotpy_ca.signer import Signer
from tests.ca.scenery import (
    CSR,
    DAY,
    HOUR,
    NOW,
    SLEEP,
    TERMS,
    MemoryStorage,
    below,
    cacerts,
    keeper,
    root,
    tls_secret,
    trusts,
    written,
)

ROOT = root()
SIGNER = below(ROOT)
MULTI_ROOT = dataclasses.replace(TERMS, multi_root=True)
SECOND = timedelta(seconds=1)


def plugged(folder, terms=TERMS, storage=None, now=NOW):
    return keeper(storage, terms, now, plugged_in=PluggedInFolder(folder))


def what(events):
    return [event.what for event in events]


def cut(files, name, content=None):
    changed = {key: value for key, value in files.items() if key != name}
    return changed if content is None else {**changed, name: content}


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.RSA_2048], ids=str)
@pytest.mark.parametrize(
    ("signer", "elements"),
    [
        pytest.param(lambda top: top, 2, id="the root itself"),
        pytest.param(below, 3, id="one below the root"),
        pytest.param(lambda top: below(below(top)), 4, id="two below the root"),
    ],
)
@pytest.mark.parametrize("form", [cacerts, tls_secret], ids=["Istio's files", "cert-manager's files"])
def test_both_forms_are_read(tmp_path, form, signer, elements, kind):
    top = root(kind=kind)
    made = signer(top)
    files = (
        form(made)
        if made is not top
        else {**form(made), **({"tls.crt": pem(top.certificate)} if form is tls_secret else {})}
    )
    chain = plugged(written(tmp_path / "certs", files)).authority.issue(CSR, [SLEEP], None, NOW)
    assert len(chain.elements) == elements
    assert trusts([pem(top.certificate)], chain, NOW)


def test_the_root_may_be_left_out_of_the_chain_file(tmp_path):
    files = {**cacerts(SIGNER), "cert-chain.pem": pem(SIGNER.certificate)}
    assert plugged(written(tmp_path / "certs", files)).authority.roots == (pem(ROOT.certificate),)


OTHER = root()
LEAF = LeafForm(ROOT).certificate(SIGNER.key.public, [SLEEP], (NOW, NOW + DAY), with_subject=False)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        *(
            pytest.param(cut(cacerts(SIGNER), name), f"{name}: .*incomplete", id=f"without {name}")
            for name in ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")
        ),
        pytest.param({"root-cert.pem": pem(ROOT.certificate)}, "incomplete", id="only a root"),
        pytest.param(cut(tls_secret(SIGNER), "ca.crt"), "ca.crt: .*incomplete", id="cert-manager's without ca.crt"),
        pytest.param(
            {**cacerts(SIGNER), "tls.crt": pem(SIGNER.certificate)}, "tls.key: .*incomplete", id="half of both forms"
        ),
        pytest.param(cut(cacerts(SIGNER), "ca-key.pem", b"\n"), "ca-key.pem is empty", id="an empty key"),
        pytest.param(cut(cacerts(SIGNER), "ca-key.pem", OTHER.key.pem()), "not the one of", id="another's key"),
        pytest.param(cut(cacerts(SIGNER), "root-cert.pem", pem(OTHER.certificate)), "nothing leads", id="another root"),
        pytest.param(cut(cacerts(SIGNER), "ca-cert.pem", b"x" * 50), "ca-cert.pem", id="no certificate"),
        pytest.param(cut(cacerts(SIGNER), "ca-cert.pem", pem(LEAF)), "not an authority", id="a workload's certificate"),
        pytest.param(cacerts(below(ROOT, now=NOW - 400 * DAY)), "ended at", id="an expired signer"),
        pytest.param(cut(cacerts(SIGNER), "root-cert.pem", b"y" * (2 << 20)), "bytes", id="a huge root"),
    ],
)
def test_an_incomplete_or_wrong_set_stops_the_start_and_is_not_replaced(tmp_path, files, reason):
    storage = MemoryStorage()
    with pytest.raises(BundleError, match=reason) as raised:
        plugged(written(tmp_path / "certs", files), storage=storage)
    assert "PRIVATE" not in str(raised.value)
    assert not storage.files, "no self-signed root was made"


def test_an_empty_folder_is_no_set(tmp_path):
    assert plugged(written(tmp_path / "certs", {})).self_signed


def test_a_key_of_somebody_else_is_not_copied(tmp_path):
    storage = MemoryStorage()
    kept = plugged(written(tmp_path / "certs", cacerts(SIGNER)), storage=storage)
    kept.revoke(0x77, NOW)
    kept.token_key()
    assert SIGNER.key.pem() not in storage.files.values()
    assert "ca-key.pem" not in storage.files
    again = plugged(tmp_path / "certs", storage=storage)
    assert again.authority.revocations == kept.authority.revocations


def test_a_self_signed_root_from_before_is_kept_beside_it(tmp_path):
    storage = MemoryStorage()
    first = keeper(storage).authority.slots.active.signer.id
    plugged(written(tmp_path / "certs", cacerts(SIGNER)), storage=storage).revoke(0x77, NOW)
    assert keeper(storage).authority.slots.active.signer.id == first


def test_a_new_intermediate_under_the_same_root_signs_at_once(tmp_path):
    kept = plugged(written(tmp_path / "certs", cacerts(SIGNER)))
    kept.authority.issue(CSR, [SLEEP], None, NOW)
    assert kept.tick(NOW) == ()
    fresh = below(ROOT, name="the next")
    written(tmp_path / "certs", cacerts(fresh))
    assert what(kept.tick(NOW + SECOND)) == ["prepared", "activated"]
    assert kept.authority.slots.active.signer.id == fresh.id
    assert kept.tick(NOW + 2 * SECOND) == ()


def mounted(folder, files, number):
    """Files as the kubelet mounts them: a link to a folder, swapped as one."""
    version = written(folder / f"..{number}", files)
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(folder / "..data")


def test_a_swapped_link_is_noticed_though_no_file_changed(tmp_path):
    mounted(tmp_path, cacerts(SIGNER), 1)
    kept = plugged(tmp_path)
    assert kept.tick(NOW) == ()
    fresh = below(ROOT)
    mounted(tmp_path, cacerts(fresh), 2)
    assert what(kept.tick(NOW)) == ["prepared", "activated"]
    third = below(ROOT)
    mounted(tmp_path, cacerts(third), 3)
    assert what(kept.tick(NOW)) == ["prepared", "activated"], "the second time too"
    assert kept.authority.slots.active.signer.id == third.id


def test_half_written_files_change_nothing_and_the_other_half_completes_them(tmp_path):
    folder = written(tmp_path / "certs", cacerts(SIGNER))
    kept = plugged(folder)
    fresh = cacerts(below(ROOT))
    (folder / "ca-key.pem").write_bytes(fresh["ca-key.pem"])
    events = kept.tick(NOW)
    assert what(events) == ["refused"]
    assert "stays in force" in events[0].detail
    assert kept.tick(NOW) == (), "said once"
    assert kept.authority.issue(CSR, [SLEEP], None, NOW)
    written(folder, fresh)
    assert what(kept.tick(NOW)) == ["prepared", "activated"]


def test_files_that_are_removed_while_we_run_change_nothing(tmp_path):
    folder = written(tmp_path / "certs", cacerts(SIGNER))
    kept = plugged(folder)
    for path in folder.iterdir():
        path.unlink()
    assert what(kept.tick(NOW)) == ["refused"]
    assert kept.authority.slots.active.signer.id == SIGNER.id


@pytest.mark.parametrize(
    ("terms", "roots"),
    [
        pytest.param(TERMS, (OTHER.certificate,), id="another root"),
        pytest.param(TERMS, (ROOT.certificate, OTHER.certificate), id="one more root, without several roots allowed"),
        pytest.param(MULTI_ROOT, (OTHER.certificate,), id="another root, with several roots allowed"),
    ],
)
def test_roots_that_would_cut_running_proxies_off_are_refused(tmp_path, terms, roots):
    folder = written(tmp_path / "certs", cacerts(SIGNER))
    kept = plugged(folder, terms)
    new = below(ROOT if ROOT.certificate in roots else OTHER, roots=roots)
    written(folder, cacerts(new))
    events = kept.tick(NOW)
    assert what(events) == ["refused"]
    assert "first add the new root" in events[0].detail
    assert kept.authority.slots.active.signer.id == SIGNER.id
    assert kept.authority.roots == (pem(ROOT.certificate),)


def test_the_order_of_roots_has_no_meaning(tmp_path):
    both = (ROOT.certificate, OTHER.certificate)
    folder = written(tmp_path / "certs", cacerts(below(ROOT, roots=both)))
    kept = plugged(folder)
    files = {**{path.name: path.read_bytes() for path in folder.iterdir()}}
    written(folder, {**files, "root-cert.pem": b"".join(map(pem, reversed(both)))})
    assert what(kept.tick(NOW)) == ["replaced"]


def test_a_root_is_replaced_in_three_steps_and_the_signer_waits_for_evidence(tmp_path):
    folder = written(tmp_path / "certs", cacerts(SIGNER))
    kept = plugged(folder, MULTI_ROOT)
    kept.authority.issue(CSR, [SLEEP], None, NOW, "sleep-1.default")
    both = (ROOT.certificate, OTHER.certificate)

    written(folder, {**cacerts(SIGNER), "root-cert.pem": b"".join(map(pem, both))})
    assert what(kept.tick(NOW)) == ["replaced"]
    assert len(kept.authority.roots) == 2

    fresh = below(OTHER, roots=both)
    written(folder, cacerts(fresh))
    assert what(kept.tick(NOW)) == ["prepared"]
    assert [kept.tick(NOW + number * HOUR) for number in range(1, 5)] == [()] * 4
    assert kept.authority.slots.active.signer.id == SIGNER.id, "sleep-1 does not trust the other root yet"
    with pytest.raises(RotationError, match="not ours"):
        kept.rotate(NOW)
    kept.ledger.report("sleep-1.default", kept.authority.root_fingerprints)
    kept.tick(NOW + 5 * HOUR)
    assert what(kept.tick(NOW + 6 * HOUR)) == ["activated"]

    written(folder, cacerts(fresh, roots=(OTHER.certificate,)))
    assert what(kept.tick(NOW + 7 * HOUR)) == ["replaced"]
    assert len(kept.authority.roots) == 2, "sleep-1 still shows a certificate under the first root"
    kept.authority.issue(CSR, [SLEEP], None, NOW + 7 * HOUR, "sleep-1.default")
    kept.tick(NOW + 8 * HOUR)
    assert what(kept.tick(NOW + 9 * HOUR)) == ["dropped"]
    assert kept.authority.roots == (pem(OTHER.certificate),)


def test_the_given_crl_is_published(tmp_path):
    given = b"".join(crl(signer, Revocations(), NOW) for signer in (SIGNER, ROOT))
    kept = plugged(written(tmp_path / "certs", {**cacerts(SIGNER), "ca-crl.pem": given}))
    assert kept.authority.crl(NOW) == given


def test_a_crl_that_lacks_an_authority_is_refused(tmp_path):
    files = {**cacerts(SIGNER), "ca-crl.pem": crl(SIGNER, Revocations(), NOW)}
    with pytest.raises(BundleError, match=r"ca-crl.pem has none by O=cluster.local|has none by CN=root"):
        plugged(written(tmp_path / "certs", files))


def test_a_crl_that_is_none_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"ca-crl\.pem"):
        plugged(written(tmp_path / "certs", {**cacerts(SIGNER), "ca-crl.pem": b"nothing"}))


def test_an_authority_may_have_a_chain_whose_path_crosses_a_weak_one():
    """A chain file with certificates that have nothing to do with it is no harm."""
    key = PrivateKey.new(KeyType.P256)
    stranger = (
        x509.CertificateBuilder()
        .subject_name(ROOT.certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(key.public)
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .sign(key.signing, signature_hash(key.public))
    )
    made = Signer(SIGNER.key, SIGNER.certificate, (stranger, SIGNER.certificate), (ROOT.certificate,))
    assert made.anchor == ROOT.certificate
    assert made.certificate.public_bytes(Encoding.PEM) == pem(SIGNER.certificate)


def test_of_two_certificates_of_one_root_the_one_that_lasts_longer_vouches():
    """A root that was renewed with its key, and both of its certificates in the bundle."""
    from pilotpy_ca.certificates import renewed

    short = root(life=3 * HOUR)
    longer = renewed(short.certificate, short.key, NOW, 100 * DAY)
    signer = below(short, life=2 * HOUR)
    for roots in ((short.certificate, longer), (longer, short.certificate)):
        made = Signer(signer.key, signer.certificate, (), roots)
        assert made.anchor == longer
        assert len(made.roots) == 2


def test_a_certificate_whose_extensions_cannot_be_read_is_refused(tmp_path):
    broken = pem_with_two_key_usages()
    with pytest.raises(BundleError, match=r"ca-cert\.pem"):
        plugged(written(tmp_path / "certs", {**cacerts(SIGNER), "ca-cert.pem": broken}))


def pem_with_two_key_usages():
    """A signer's certificate that has one extension twice; its signature is broken, which nobody looks at first."""
    der = SIGNER.certificate.public_bytes(Encoding.DER)
    # subjectKeyIdentifier (2.5.29.14) becomes a second authorityKeyIdentifier (2.5.29.35).
    twice = der.replace(bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d23"), 1)
    assert twice != der
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(twice) + b"-----END CERTIFICATE-----\n"
