"""What tests of the authority need around it: requests, storages that fail, chains of authorities, files of others."""

import asyncio
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509 import verification

from pilotpy_ca.certificates import intermediate_certificate, pem, root_certificate
from pilotpy_ca.csr import new_request
from pilotpy_ca.errors import Conflict, StorageError
from pilotpy_ca.keeper import Keeper, Source
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.signer import Signer
from pilotpy_ca.slots import Slots
from pilotpy_ca.storage import Stored
from pilotpy_ca.terms import Terms

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SLEEP = "spiffe://cluster.local/ns/default/sa/sleep"
HTTPBIN = "spiffe://cluster.local/ns/default/sa/httpbin"
TERMS = Terms(key_type=KeyType.P256)

_KEY = PrivateKey.new(KeyType.P256)
CSR = new_request(_KEY)


class MemoryStorage:
    """A storage that holds what it is given, and fails when it is told to."""

    def __init__(self, files=None):
        self.files, self.number, self.full = dict(files or {}), 0, False

    def load(self):
        return Stored(dict(self.files), str(self.number))

    def save(self, files, after):
        if after != str(self.number):
            raise Conflict(f"{after} is not {self.number}")
        if self.full:
            raise StorageError("No space left on device")
        self.files, self.number = dict(files), self.number + 1
        return str(self.number)


def now():
    return datetime.now(UTC)


def played(play):
    """Run a coroutine function as a test."""
    return asyncio.run(play())


def keeper(storage=None, terms=TERMS, now=NOW, **source):
    return Keeper(Source(storage or MemoryStorage(), **source), terms, now)


def root(now=NOW, life=3650 * DAY, kind=KeyType.P256, name="cluster.local"):
    key = PrivateKey.new(kind)
    return Signer(key, root_certificate(key, name, now, life))


def below(above, now=NOW, life=365 * DAY, name="an intermediate", roots=None):
    """A signer whose certificate another one signed."""
    key = PrivateKey.new(KeyType.P256)
    certificate = intermediate_certificate(key.public, name, (above.certificate, above.key), now, life)
    return Signer(key, certificate, above.intermediates, roots or above.roots)


def cacerts(signer, roots=None):
    """A signer as the files of Istio's Secret cacerts."""
    return {
        "ca-cert.pem": pem(signer.certificate),
        "ca-key.pem": signer.key.pem(),
        "root-cert.pem": b"".join(map(pem, roots or signer.roots)),
        "cert-chain.pem": b"".join(map(pem, signer.chain)),
    }


def tls_secret(signer):
    """The same as cert-manager writes it."""
    return {
        "tls.crt": b"".join(map(pem, signer.intermediates)),
        "tls.key": signer.key.pem(),
        "ca.crt": b"".join(map(pem, signer.roots)),
    }


def written(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def leaf_of(chain):
    return x509.load_pem_x509_certificate(chain.elements[0].encode())


def trusts(roots, chain, now):
    """Whether a verifier with these roots (PEM) believes a chain: by another implementation than ours."""
    store = verification.Store([x509.load_pem_x509_certificate(one) for one in roots])
    policy = verification.PolicyBuilder().store(store).time(now)
    above = [x509.load_pem_x509_certificate(one.encode()) for one in chain.elements[1:-1]]
    try:
        policy.build_client_verifier().verify(leaf_of(chain), above)
    except verification.VerificationError:
        return False
    return True


def slots(signer, now=NOW):
    return Slots.first(signer, now)
