"""Who somebody is, by certificate and by token; and the tokens that are written for workloads."""

import asyncio
import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pilotpy_ca.authenticators import (
    ClientCertificate,
    Credentials,
    Jwt,
    Peer,
    TokenRule,
    admission,
    authenticated,
    credentials_of,
    folder_issuer,
    service_account,
    with_holder,
)
from pilotpy_ca.errors import TokenError, Unauthenticated
from pilotpy_ca.jwt import MAX_TOKEN, jwks_of, signed_token
from pilotpy_ca.keys import KeyType, PrivateKey, signature_hash
from pilotpy_ca.spiffe import SpiffeId
from pilotpy_ca.tokens import ProjectedTokens, TokenIssuer, Workload, misnamed
from tests.ca.scenery import CSR, DAY, HOUR, NOW, SLEEP, keeper, leaf_of

PEER = Peer("10.0.0.7:4444")
POD = Workload("default", "sleep", "sleep-1")
KEY = PrivateKey.new(KeyType.P256)
AT = int(NOW.timestamp())


def whoever(authenticators, credentials, now=NOW):
    return asyncio.run(authenticated(authenticators, credentials, now))


def shown(chain):
    return Credentials(PEER._replace(certificate=leaf_of(chain).public_bytes(Encoding.DER)))


def with_token(token):
    return Credentials(PEER, token)


def jwt(**claims):
    base = {"iss": "https://issuer", "sub": "system:serviceaccount:default:sleep", "aud": "istio-ca", "exp": AT + 60}
    return signed_token(KEY, {**base, **claims})


@pytest.fixture
def oidc():
    one = Jwt(TokenRule("https://issuer", frozenset({"istio-ca", "other"}), lambda: "cluster.local"))
    one.learn(jwks_of(KEY))
    return one


def test_a_certificate_tells_its_names_and_whose_proxy_it_is():
    kept = keeper()
    chain = kept.authority.issue(CSR, [SLEEP], None, NOW, "sleep-1.default")
    caller = whoever([ClientCertificate(kept.authority)], shown(chain))
    assert (caller.identities, caller.by, caller.holder) == ((SLEEP,), "client certificate", "sleep-1.default")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda kept, chain: kept.revoke(chain.serial, NOW), "is revoked", id="revoked"),
        pytest.param(
            lambda kept, _: kept.taint(kept.authority.slots.active.signer.id, NOW), "tainted", id="of a tainted signer"
        ),
    ],
)
def test_a_certificate_that_is_disowned_proves_nothing(spoil, reason):
    kept = keeper()
    chain = kept.authority.issue(CSR, [SLEEP], None, NOW)
    spoil(kept, chain)
    with pytest.raises(Unauthenticated, match=reason):
        whoever([ClientCertificate(kept.authority)], shown(chain))
    with pytest.raises(Unauthenticated, match=reason):
        admission(kept.authority, lambda: {"cluster.local"})(shown(chain).peer.certificate)


def test_a_certificate_ends_though_its_connection_does_not():
    kept = keeper()
    chain = kept.authority.issue(CSR, [SLEEP], HOUR, NOW)
    with pytest.raises(Unauthenticated, match="ended at"):
        whoever([ClientCertificate(kept.authority)], shown(chain), NOW + HOUR)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        pytest.param([SLEEP], None, id="a workload of ours"),
        pytest.param([SLEEP.replace("cluster.local", "other.org")], "not ours", id="of another trust domain"),
        pytest.param(["istiod.istio-system.svc"], "0 URIs", id="a server's"),
        pytest.param([SLEEP, SLEEP.replace("sleep", "admin")], "2 URIs", id="two workloads at once"),
        pytest.param(["spiffe://cluster.local/sleep"], "not a SPIFFE ID of a workload", id="of another form"),
        pytest.param([SLEEP, "10.0.0.1", "sleep.svc"], None, id="with other names beside it"),
    ],
)
def test_what_a_front_admits(names, reason):
    kept = keeper()
    leaf = shown(kept.authority.issue(CSR, names, None, NOW)).peer.certificate
    admitted = admission(kept.authority, lambda: {"cluster.local"})
    if reason is None:
        admitted(leaf)
    else:
        with pytest.raises(Unauthenticated, match=reason):
            admitted(leaf)


def test_a_token_tells_the_service_account_in_the_trust_domain_of_the_moment(oidc):
    assert whoever([oidc], with_token(jwt())).identities == (SLEEP,)
    domains = iter(["one", "two@project"])
    moving = Jwt(TokenRule("https://issuer", frozenset({"istio-ca"}), lambda: next(domains)))
    moving.learn(jwks_of(KEY))
    assert whoever([moving], with_token(jwt())).identities == (SLEEP.replace("cluster.local", "one"),)
    assert whoever([moving], with_token(jwt())).identities == (SLEEP.replace("cluster.local", "two.project"),)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(None, "none was shown", id="none"),
        pytest.param("", "none was shown", id="an empty one"),
        pytest.param(jwt(iss="https://evil"), "issuer", id="of another issuer"),
        pytest.param(jwt(aud="kubernetes"), "audience", id="for another audience"),
        pytest.param(jwt(aud=[]), "audience", id="for no audience"),
        pytest.param(jwt(sub="alice"), "not a service account", id="of a person"),
        pytest.param(jwt(sub="system:serviceaccount:default"), "not a service account", id="of half an account"),
        pytest.param(jwt(sub="system:serviceaccount:a:b:c"), "not a service account", id="of more than an account"),
        pytest.param(jwt(sub="system:serviceaccount::sleep"), "not a service account", id="of no namespace"),
        pytest.param(jwt(sub="system:serviceaccount:a:b/../c"), "not a namespace", id="of a path"),
        pytest.param(jwt(sub="system:serviceaccount:a:.."), "not a namespace", id="of the folder above"),
    ],
)
def test_a_token_that_proves_nothing(oidc, token, reason):
    with pytest.raises(Unauthenticated, match=reason):
        whoever([oidc], with_token(token))


def test_without_keys_nobody_is_anybody():
    with pytest.raises(Unauthenticated, match="not known"):
        whoever([Jwt(TokenRule("https://issuer", frozenset({"istio-ca"}), lambda: "x"))], with_token(jwt()))


def test_keys_that_cannot_be_read_leave_those_of_before(oidc):
    with pytest.raises(TokenError):
        oidc.learn(b"<html>")
    assert whoever([oidc], with_token(jwt())).identities == (SLEEP,)


def test_the_first_that_knows_the_caller_decides(oidc):
    kept = keeper()
    chain = kept.authority.issue(CSR, ["spiffe://cluster.local/ns/a/sa/b"], None, NOW)
    both = shown(chain)._replace(token=jwt())
    assert whoever([ClientCertificate(kept.authority), oidc], both).by == "client certificate"
    assert whoever([oidc, ClientCertificate(kept.authority)], both).by == "OIDC token"


def test_a_refusal_has_every_reason(oidc):
    with pytest.raises(Unauthenticated, match=r"client certificate: none.*OIDC token: none"):
        whoever([ClientCertificate(keeper().authority), oidc], Credentials(PEER))
    with pytest.raises(Unauthenticated, match="no way"):
        whoever([], Credentials(PEER))


@pytest.mark.parametrize(
    ("metadata", "token", "cluster"),
    [
        pytest.param([("authorization", "Bearer abc"), ("clusterid", "east")], "abc", "east", id="both"),
        pytest.param([("Authorization", "Bearer abc")], "abc", "", id="a name in capitals"),
        pytest.param([("authorization", "Istio abc")], None, "", id="another scheme"),
        pytest.param([("authorization", "bearer abc")], None, "", id="the scheme in small letters, as istiod"),
        pytest.param([("authorization", "Bearer a"), ("authorization", "Bearer b")], None, "", id="two tokens"),
        pytest.param([("authorization", "Bearer " + "a" * (MAX_TOKEN + 1))], None, "", id="a token too long"),
        pytest.param([("clusterid", "a"), ("clusterid", "b")], None, "", id="two clusters"),
        pytest.param([("authorization", b"Bearer a"), ("clusterid", b"a")], None, "", id="bytes"),
        pytest.param([], None, "", id="nothing"),
    ],
)
def test_what_metadata_shows(metadata, token, cluster):
    assert credentials_of(metadata, PEER) == Credentials(PEER, token, cluster)


def test_a_token_of_our_own_tells_the_proxy_too():
    issuer = TokenIssuer(KEY)
    caller = whoever([folder_issuer(issuer, lambda: "cluster.local")], with_token(issuer.token(POD, NOW)))
    assert caller == ((SLEEP,), "projected token", "sleep-1.default", {"pod": "sleep-1"})


def test_a_token_of_our_own_ends_after_an_hour():
    issuer = TokenIssuer(KEY)
    authenticator, token = folder_issuer(issuer, lambda: "cluster.local"), issuer.token(POD, NOW)
    assert whoever([authenticator], with_token(token), NOW + HOUR)
    with pytest.raises(Unauthenticated, match="ended at"):
        whoever([authenticator], with_token(token), NOW + HOUR + timedelta(minutes=2))


def test_a_token_of_another_installation_is_none_of_ours():
    with pytest.raises(Unauthenticated, match="no key"):
        whoever(
            [folder_issuer(TokenIssuer(KEY), lambda: "cluster.local")],
            with_token(TokenIssuer(PrivateKey.new(KeyType.P256)).token(POD, NOW)),
        )


def test_tokens_are_projected_replaced_before_they_end_and_removed(tmp_path):
    tokens = ProjectedTokens(tmp_path / "tokens", TokenIssuer(KEY))
    other = Workload("default", "httpbin", "httpbin-1")
    tokens.project([POD, other], NOW)
    path = tokens.path(POD)
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tokens.project([POD, other], NOW + 0.7 * HOUR)
    assert path.read_text() == first
    tokens.project([POD, other], NOW + 0.8 * HOUR)
    assert path.read_text() != first
    tokens.project([other], NOW + HOUR)
    assert not path.parent.exists()
    assert tokens.path(other).exists()


def test_a_clock_that_is_set_back_makes_new_tokens(tmp_path):
    tokens = ProjectedTokens(tmp_path, TokenIssuer(KEY))
    tokens.project([POD], NOW)
    first = tokens.path(POD).read_text()
    tokens.project([POD], NOW - DAY)
    assert tokens.path(POD).read_text() != first


@pytest.mark.parametrize(
    "workload",
    [
        pytest.param(Workload("default", "sleep", "../../etc"), id="a pod above the folder"),
        pytest.param(Workload("default", "sleep", "a/b"), id="a pod below another"),
        pytest.param(Workload("default", "sleep", ".."), id="a pod that is the folder of all"),
        pytest.param(Workload("default", "sleep", "."), id="a pod that is the folder of its namespace"),
        pytest.param(Workload("default", "sleep", ""), id="no pod"),
        pytest.param(Workload("..", "sleep", "a"), id="a namespace above the folder"),
        pytest.param(Workload("", "sleep", "a"), id="no namespace"),
        pytest.param(Workload("default", "a b", "a"), id="an account with a space"),
    ],
)
def test_tokens_are_written_nowhere_else(tmp_path, workload):
    assert misnamed(workload)
    with pytest.raises(ValueError, match="not a"):
        ProjectedTokens(tmp_path / "tokens", TokenIssuer(KEY)).project([workload], NOW)
    assert not list(tmp_path.rglob("istio-token"))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://",
        "spiffe://a/ns/b/sa/",
        "spiffe://a/ns/b/sa/c/d",
        "spiffe://a/ns//sa/c",
        "SPIFFE://a/ns/b/sa/c",
        "https://a/ns/b/sa/c",
        "spiffe://a/ns/b/as/c",
        "spiffe://a b/ns/b/sa/c",
        "spiffe://a/ns/b/sa/c?d",
        "spiffe://a/ns/b/sa/..",
        "spiffe:///ns/b/sa/c",
    ],
)
def test_is_no_spiffe_id(uri):
    with pytest.raises(ValueError, match="not a"):
        SpiffeId.parse(uri)


def test_a_spiffe_id_is_read_and_written():
    assert str(SpiffeId.parse(SLEEP)) == SLEEP
    assert SpiffeId.parse(SLEEP) == ("cluster.local", "default", "sleep")


def test_a_subject_is_a_service_account():
    assert service_account("system:serviceaccount:a:b") == ("a", "b")


def test_a_leaf_without_names_is_nobodys():
    kept = keeper()
    signer = kept.authority.slots.active.signer
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.certificate.subject)
        .public_key(KEY.public)
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .sign(signer.key.signing, signature_hash(signer.key.public))
    )
    with pytest.raises(Unauthenticated, match="names nobody"):
        whoever(
            [ClientCertificate(kept.authority)], Credentials(PEER._replace(certificate=leaf.public_bytes(Encoding.DER)))
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("0603551d23", "0603551d11", id="two lists of names"),
        pytest.param("0603551d11", "0603551d12", id="no names"),
        pytest.param("0603551d23", "0603551d13", id="two basic constraints"),
    ],
)
def test_a_leaf_that_cannot_be_read_is_refused_like_any_other(old, new):
    kept = keeper()
    der = shown(kept.authority.issue(CSR, [SLEEP], None, NOW)).peer.certificate
    odd = der.replace(bytes.fromhex(old), bytes.fromhex(new), 1)
    assert odd != der
    with pytest.raises(Unauthenticated):
        admission(kept.authority, lambda: {"cluster.local"})(odd)
    with pytest.raises(Unauthenticated):
        whoever([ClientCertificate(kept.authority)], Credentials(PEER._replace(certificate=odd)))


def test_whose_proxy_it_is_is_told_by_a_token_where_the_certificate_of_another_replica_does_not():
    kept, other, issuer = keeper(), keeper(), TokenIssuer(KEY)
    kept.authority.adopt(other.authority.slots)
    by_certificate = ClientCertificate(kept.authority)
    both = [by_certificate, folder_issuer(issuer, lambda: "cluster.local")]
    chain = other.authority.issue(CSR, [SLEEP], None, NOW, "sleep-1.default")

    def holder(pod):
        credentials = shown(chain)._replace(token=issuer.token(pod, NOW))
        caller = whoever(both, credentials)
        assert (caller.by, caller.holder) == (by_certificate.name, "")
        return asyncio.run(with_holder(caller, both, credentials, NOW)).holder

    assert holder(POD) == "sleep-1.default"
    assert holder(POD._replace(service_account="other")) == "", "a token of somebody else tells nothing of this one"


def test_no_token_is_seen_where_credentials_are_printed():
    shown_by = Credentials(PEER, "a token", "east")
    assert "a token" not in f"{shown_by} {shown_by!r} {[shown_by]}"
