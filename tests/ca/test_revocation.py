"""Revoked certificates, as OpenSSL sees them: in a handshake."""

import ssl
from contextlib import contextmanager

import pytest
from cryptography import x509

from pilotpy_ca.errors import RotationError, StorageError
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.ledger_file import LedgerFile
from tests.ca.scenery import CSR, DAY, HTTPBIN, NOW, SLEEP, TERMS, MemoryStorage, below, cacerts, keeper, root, written


@pytest.fixture
def now():
    from datetime import UTC, datetime

    return datetime.now(UTC).replace(microsecond=0)  # OpenSSL looks at the clock


@contextmanager
def handshakes(tmp_path, kept, now):
    """A function that says whether a server that has the roots and the CRLs believes a client's certificate."""
    server_identity = kept.authority.issue_server(["server"], now)
    (tmp_path / "server.pem").write_bytes(server_identity.chain.certificates + server_identity.key.pem())

    def believes(chain, key):
        (tmp_path / "client.pem").write_bytes(chain.certificates + key.pem())
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(tmp_path / "server.pem")
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(cadata=b"".join(kept.authority.roots).decode())
        if lists := kept.authority.crl(now):
            (tmp_path / "crl.pem").write_bytes(lists)
            server.load_verify_locations(tmp_path / "crl.pem")
            server.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        client.load_cert_chain(tmp_path / "client.pem")
        pipes = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = server.wrap_bio(*pipes, server_side=True), client.wrap_bio(*reversed(pipes))
        for _ in range(6):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError as error:
                    assert "revoked" in str(error), error  # noqa: PT017  # any other reason is a failure
                    return False
        return True

    yield believes


def identity(kept, now, name=SLEEP):
    key = PrivateKey.new(KeyType.P256)
    from pilotpy_ca.csr import new_request

    return kept.authority.issue(new_request(key), [name], None, now), key


@pytest.mark.parametrize("plugged", [False, True], ids=["self-signed", "plugged in"])
def test_a_revoked_certificate_is_refused_and_others_are_not(tmp_path, now, plugged):
    from pilotpy_ca.plugged_in import PluggedInFolder

    folder = written(tmp_path / "certs", cacerts(below(root(now=now), now=now)) if plugged else {})
    kept = keeper(terms=TERMS, now=now, plugged_in=PluggedInFolder(folder))
    revoked, other = identity(kept, now), identity(kept, now, HTTPBIN)
    with handshakes(tmp_path, kept, now) as believes:
        assert believes(*revoked)
        kept.revoke(revoked[0].serial, now)
        assert not believes(*revoked)
        assert believes(*other)
        assert believes(*identity(kept, now)), "the identity may have a new one"


def test_all_certificates_of_a_name_are_revoked(tmp_path, now):
    kept = keeper(now=now)
    mine, other = [identity(kept, now) for _ in range(3)], identity(kept, now, HTTPBIN)
    kept.revoke(SLEEP, now, "key lost")
    with handshakes(tmp_path, kept, now) as believes:
        assert [believes(*one) for one in mine] == [False] * 3
        assert believes(*other)


@pytest.mark.parametrize("stage", ["prepared", "active and old"])
def test_in_a_rotation_every_signer_has_its_list(tmp_path, now, stage):
    kept = keeper(now=now)
    before, revoked_before = identity(kept, now), identity(kept, now, HTTPBIN)
    kept.rotate(now, at_once=stage != "prepared")
    kept.tick(now)
    after, revoked_after = identity(kept, now), identity(kept, now, HTTPBIN)
    kept.revoke(HTTPBIN, now)
    with handshakes(tmp_path, kept, now) as believes:
        assert [believes(*one) for one in (before, after)] == [True, True]
        assert [believes(*one) for one in (revoked_before, revoked_after)] == [False, False]


def test_a_serial_that_the_ledger_does_not_know_is_revoked_by_every_signer(now):
    kept = keeper(now=now)
    kept.rotate(now)
    kept.revoke(0xABC, now)
    lists = kept.authority.crl(now).split(b"-----END X509 CRL-----\n")[:-1]
    assert len(lists) == 2
    for one in lists:
        found = x509.load_pem_x509_crl(one + b"-----END X509 CRL-----\n")
        assert found.get_revoked_certificate_by_serial_number(0xABC)
        assert found.is_signature_valid(
            next(
                slot.signer.key.public
                for slot in kept.authority.slots.all
                if slot.signer.certificate.subject == found.issuer
            )
        )
        assert found.next_update_utc > now + 1000 * DAY, "an authority that is away must not stop the traffic"


def test_as_long_as_nothing_is_revoked_there_is_no_list(now):
    kept = keeper(now=now)
    identity(kept, now)
    assert kept.authority.crl(now) == b""


class Small(MemoryStorage):
    """A storage with room for so much, as a Secret has."""

    def save(self, files, after):
        self.full = sum(map(len, files.values())) > 8000
        return super().save(files, after)


def test_a_name_is_banned_though_there_is_no_room_to_list_all_of_its_certificates(now):
    storage = Small()
    kept = keeper(storage, now=now)
    for _ in range(40):
        kept.authority.issue(CSR, [SLEEP], None, now)
    with pytest.raises(StorageError):
        kept.revoke(SLEEP, now, ban=True)
    for one in (kept, keeper(storage, now=now)):
        assert one.authority.revocations.banned == {SLEEP}
        assert not one.authority.revocations.certificates


def test_a_name_without_certificates_cannot_be_revoked_but_banned(now):
    kept = keeper(now=now)
    with pytest.raises(RotationError, match="no certificate"):
        kept.revoke(SLEEP, now)
    kept.revoke(SLEEP, now, ban=True)
    assert kept.authority.revocations.banned == {SLEEP}


def test_what_has_ended_is_taken_off_the_list_a_day_later(now):
    kept = keeper(now=now)
    chain, _ = identity(kept, now)
    kept.revoke(chain.serial, now)
    kept.tick(now + DAY)
    assert chain.serial in kept.authority.revocations.certificates
    number = kept.authority.revocations.number
    kept.tick(now + 2 * DAY)
    kept.tick(now + 2 * DAY + TERMS.settle)
    assert chain.serial not in kept.authority.revocations.certificates
    assert kept.authority.revocations.number > number


def test_a_rotation_does_not_wait_for_who_is_revoked(tmp_path, now):
    storage, ledger = MemoryStorage(), LedgerFile(tmp_path / "issued")
    kept = keeper(storage, now=now, ledger=ledger)
    chain, _ = identity(kept, now)
    kept.rotate(now)
    assert [wait.holders for wait in kept.waits()] == [(f"{SLEEP} (certificate {chain.serial:x})",)]
    kept.revoke(chain.serial, now)
    assert [wait.holders for wait in kept.waits()] == [()]
    again = keeper(storage, now=now, ledger=ledger)
    assert again.ledger.find(chain.serial)
    assert [wait.holders for wait in again.waits()] == [()], "after a restart too"


@pytest.mark.parametrize(
    "serial",
    [
        pytest.param(0, id="none"),
        pytest.param(-5, id="below zero"),
        pytest.param(1 << 160, id="longer than any"),
        pytest.param(int("ab" * 32, 16), id="a fingerprint by mistake"),
    ],
)
def test_what_cannot_be_a_serial_number_is_refused_and_lists_can_still_be_made(now, serial):
    kept = keeper(now=now)
    kept.revoke(identity(kept, now)[0].serial, now)
    with pytest.raises(RotationError, match="serial number"):
        kept.revoke(serial, now)
    assert kept.authority.crl(now)


def test_revoked_twice_is_revoked_once(now):
    kept = keeper(now=now)
    chain = kept.authority.issue(CSR, [SLEEP], None, now)
    kept.revoke(chain.serial, now)
    number = kept.authority.revocations.number
    kept.revoke(chain.serial, now)
    assert kept.authority.revocations.number == number


def test_who_revokes_a_name_revokes_what_another_process_of_the_authority_gave_meanwhile():
    storage = MemoryStorage()
    one, two = keeper(storage), keeper(storage)
    given = [kept.authority.issue(CSR, [SLEEP], None, NOW).serial for kept in (one, two)]
    other = two.authority.issue(CSR, [HTTPBIN], None, NOW).serial
    one.revoke(SLEEP, NOW)
    two.take(storage.load(), NOW)
    later = two.authority.issue(CSR, [SLEEP], None, NOW).serial
    storage.full = True
    with pytest.raises(StorageError):
        two.tick(NOW)
    storage.full = False
    assert [event.what for event in two.tick(NOW)] == ["revoked"]
    one.take(storage.load(), NOW)
    for kept in (one, two, keeper(storage)):
        assert set(kept.authority.revocations.certificates) == set(given)
    assert not {other, later} & set(given)
    assert two.tick(NOW) == one.tick(NOW) == ()
    one.tick(NOW + 2 * DAY)
    assert not one.authority.revocations.names, "by then everybody has heard of it"
