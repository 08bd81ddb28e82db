"""Certificates: asked for, taken or refused, renewed in time; what is there stays while nobody signs."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pilotpy.agent.certificate import BadChain, certificate
from pilotpy.agent.held import Held, Holding
from pilotpy.agent.identity import Identity, Terms, pause
from pilotpy.agent.key import Key, KeyType
from pilotpy.agent.signing import signer
from pilotpy.agent.upstream import Unreachable, Upstream
from tests.agent.plane import WEB, Issuer, asynchronous, pem, running
from tests.agent.tasks import background
from tests.waiting import until

NOW = datetime.now(UTC)
ISSUER = Issuer()
KEY = Key.new(KeyType.P256)


def own_leaf(*names: str, issuer: Issuer = ISSUER, key: Key = KEY, **more) -> str:
    asked = x509.load_pem_x509_csr(key.request(WEB))
    return pem(issuer.leaf(asked.public_key(), *map(x509.UniformResourceIdentifier, names or (WEB,)), **more))


def test_an_answer_becomes_a_certificate():
    leaf, root = own_leaf(), pem(ISSUER.root)
    taken = certificate([leaf, root], KEY, NOW)
    assert taken.identity == WEB
    assert taken.chain == (leaf + root).encode()
    assert taken.roots == root.encode()


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        pytest.param([], "not 0 elements", id="nothing"),
        pytest.param([own_leaf()], "not 1 elements", id="no roots"),
        pytest.param(["no PEM", pem(ISSUER.root)], "cannot be read", id="no certificate"),
        pytest.param([own_leaf(key=Key.new(KeyType.P256)), pem(ISSUER.root)], "another key", id="another key"),
        pytest.param([own_leaf(), pem(Issuer("other").root)], "none of the roots", id="another root"),
        pytest.param(
            [own_leaf(), pem(Issuer("other").root), pem(ISSUER.root)], "did not issue", id="another intermediate"
        ),
        pytest.param([own_leaf(WEB, WEB + "2"), pem(ISSUER.root)], "for 2 SPIFFE", id="two identities"),
        pytest.param([own_leaf("https://web"), pem(ISSUER.root)], "for 0 SPIFFE", id="no identity"),
        pytest.param([own_leaf(life=timedelta(seconds=-1)), pem(ISSUER.root)], "ended at", id="over already"),
    ],
)
def test_an_answer_that_peers_would_refuse_is_refused(elements, reason):
    with pytest.raises(BadChain, match=reason):
        certificate(elements, KEY, NOW)


def test_renewal_leaves_the_share_of_life_that_was_asked_for():
    taken = certificate([own_leaf(life=timedelta(hours=10)), pem(ISSUER.root)], KEY, NOW)
    middle = taken.received + (taken.not_after - taken.received) / 2
    assert abs(taken.renewal(0.5) - middle) < timedelta(milliseconds=1)
    assert taken.renewal(0.2) > taken.renewal(0.5)


@pytest.mark.parametrize("type_", KeyType, ids=lambda type_: type_.value)
def test_a_request_asks_for_the_identity_with_any_key(type_):
    asked = x509.load_pem_x509_csr(Key.new(type_).request(WEB))
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [WEB]
    assert asked.is_signature_valid
    assert not asked.subject.rdns


def test_a_key_does_not_show_itself():
    taken = certificate([own_leaf(), pem(ISSUER.root)], KEY, NOW)
    secret = KEY.pem().decode().splitlines()[1]
    assert secret not in repr(taken)
    assert repr(KEY) == "<P256 key>"


def test_roots_are_each_named_once_those_of_the_certificate_first():
    other = Issuer("other").root
    taken = certificate([own_leaf(), pem(ISSUER.root)], KEY, NOW)
    held = Held(taken, (pem(other) + pem(ISSUER.root), pem(other)))
    assert held.roots.decode() == pem(ISSUER.root) + pem(other)


@pytest.mark.parametrize("garbage", [b"garbage", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_what_is_no_list_of_revoked_certificates_leaves_the_last(garbage):
    holding = Holding()
    holding.refuse(ISSUER.revocation(1))
    with pytest.raises(ValueError, match=r"\w+"):
        holding.refuse(garbage)
    assert holding.now.revoked


def test_pauses_double_up_to_a_limit_and_spread():
    assert [pause(n, 0).total_seconds() for n in (1, 2, 3, 50)] == [0.1, 0.2, 0.4, 30]
    assert pause(3, 1) == timedelta(seconds=0.2)


class JumpingClock:
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def identity_of(plane, holding: Holding, clock=None, **terms) -> Identity:
    upstream = Upstream(address=plane.address, roots=plane.root_file, token=plane.token_file)
    terms = Terms(**{"identity": WEB, "key_type": KeyType.P256, **terms})
    return Identity(terms, signer(upstream), holding, clock or JumpingClock())


@asynchronous
async def test_a_certificate_is_renewed_while_half_of_its_life_is_left(tmp_path):
    async with running(tmp_path) as plane:
        plane.life = timedelta(seconds=3)
        holding = Holding()
        async with background(identity_of(plane, holding).run()):
            await until(lambda: holding.now.certificate)
            first = holding.now.certificate
            await until(lambda: holding.now.certificate != first)
            assert timedelta(seconds=1) < first.life(datetime.now(UTC)) < timedelta(seconds=2)


@asynchronous
async def test_an_old_certificate_stays_while_the_authority_is_away_and_is_renewed_when_it_is_back(tmp_path):
    async with running(tmp_path) as plane:
        plane.life = timedelta(seconds=2)
        holding = Holding()
        identity = identity_of(plane, holding)
        async with background(identity.run()):
            await until(lambda: holding.now.certificate)
            await plane.stop()
            await until(lambda: identity.failures > 2)
            first = holding.now.certificate
            await until(lambda: first.life(datetime.now(UTC)) < timedelta(0))  # past its grace and its end
            assert holding.now.certificate == first
            await plane.start()
            await until(lambda: holding.now.certificate != first, 20)
            assert identity.failures == 0


@asynchronous
async def test_an_expired_token_is_read_anew_for_each_attempt(tmp_path):
    async with running(tmp_path) as plane:
        plane.token = "token-of-tomorrow"
        holding = Holding()
        identity = identity_of(plane, holding)
        async with background(identity.run()):
            await until(lambda: identity.failures > 1)
            assert holding.now.certificate is None
            plane.token_file.write_text(plane.token)
            await until(lambda: holding.now.certificate)


@asynchronous
async def test_a_certificate_for_somebody_else_is_not_taken(tmp_path):
    async with running(tmp_path) as plane:
        plane.identity = "spiffe://cluster.local/ns/default/sa/other"
        holding = Holding()
        identity = identity_of(plane, holding)
        async with background(identity.run()):
            await until(lambda: identity.failures > 1)
            assert holding.now.certificate is None


@asynchronous
async def test_an_authority_that_leads_to_another_root_gets_no_token(tmp_path):
    async with running(tmp_path) as plane:
        plane.root_file.write_text(pem(Issuer("other").root))
        upstream = Upstream(address=plane.address, roots=plane.root_file, token=plane.token_file)
        with pytest.raises(Unreachable, match="UNAVAILABLE"):
            await signer(upstream)(KEY.request(WEB), timedelta(hours=1))
        assert not plane.signed


@asynchronous
async def test_a_name_can_be_expected_that_is_not_the_address(tmp_path):
    async with running(tmp_path) as plane:
        known = {"address": plane.address, "roots": plane.root_file, "token": plane.token_file}
        named = Upstream(**known, server_name="istiod.istio-system.svc")
        assert len(await signer(named)(KEY.request(WEB), timedelta(hours=1))) == 2
        with pytest.raises(Unreachable):
            await signer(Upstream(**known, server_name="other.svc"))(KEY.request(WEB), timedelta(hours=1))


@asynchronous
async def test_a_clock_that_is_set_forward_brings_renewal_forward(tmp_path, monkeypatch):
    monkeypatch.setattr("pilotpy.agent.identity._LOOK_AGAIN", timedelta(milliseconds=50))
    async with running(tmp_path) as plane:
        holding, clock = Holding(), JumpingClock()
        async with background(identity_of(plane, holding, clock).run()):
            await until(lambda: holding.now.certificate)
            first = holding.now.certificate
            clock.ahead = timedelta(minutes=40)
            await until(lambda: holding.now.certificate != first)


@asynchronous
async def test_a_certificate_can_be_asked_for_at_any_time(tmp_path):
    async with running(tmp_path) as plane:
        holding = Holding()
        identity = identity_of(plane, holding)
        async with background(identity.run()):
            await until(lambda: holding.now.certificate)
            first = holding.now.certificate
            identity.renew()
            await until(lambda: holding.now.certificate != first)


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        pytest.param("abc\n", (("authorization", "Bearer abc"),), id="a token"),
        pytest.param("", (), id="an empty file sends none"),
        pytest.param(None, (), id="a missing file sends none"),
    ],
)
def test_the_token_is_what_is_in_the_file(content, sent, tmp_path):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    assert Upstream(address="a:1", token=file).metadata() == sent


@pytest.mark.parametrize("content", ["a\nb", "a b", "ä"], ids=["two lines", "a space", "not ASCII"])
def test_what_is_no_token_is_not_sent_and_not_shown(content, tmp_path):
    (tmp_path / "token").write_text(content)
    with pytest.raises(Unreachable) as refused:
        Upstream(address="a:1", token=tmp_path / "token").metadata()
    assert content not in str(refused.value)


def test_no_token_goes_where_it_could_be_read(tmp_path):
    (tmp_path / "token").write_text("abc")
    plain = Upstream(address="a:15010", token=tmp_path / "token", cluster="c", plaintext=True)
    assert plain.metadata() == (("clusterid", "c"),)


def test_an_elliptic_key_is_not_for_another_curve():
    assert not KEY.fits(ISSUER.leaf(ec.generate_private_key(ec.SECP384R1()).public_key()))
