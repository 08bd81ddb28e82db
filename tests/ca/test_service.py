"""CreateCertificate without a network: statuses for strangers, counts and reasons for operators."""

from contextlib import suppress
from datetime import timedelta

import pytest

from pilotpy_ca.authenticators import Caller
from pilotpy_ca.metrics import Counts, samples
from pilotpy_ca.plugged_in import PluggedInFolder
from pilotpy_ca.service import CertificateService, Refused
from pilotpy_ca.status import endings, status
from pilotpy_protos.istio.v1.auth import ca_pb2
from tests.ca.scenery import CSR, DAY, HTTPBIN, NOW, SLEEP, TERMS, below, cacerts, keeper, root, slots, written

CALLER = Caller((SLEEP,), "test", "sleep-1.default")


def request(csr=CSR, seconds=0, **metadata):
    asked = ca_pb2.IstioCertificateRequest(csr=csr.decode(), validity_duration=seconds)
    if metadata:
        asked.metadata.update(metadata)
    return asked.SerializeToString()


def refused(service, content, caller=CALLER, now=NOW):
    with pytest.raises(Refused) as raised:
        service.create(content, caller, now)
    return raised.value


def test_a_request_is_granted_to_who_the_caller_is():
    service = CertificateService(keeper().authority)
    granted = service.create(request(seconds=3600), CALLER, NOW)
    chain = ca_pb2.IstioCertificateResponse.FromString(granted.response).cert_chain
    assert len(chain) == 2
    assert granted.identities == (SLEEP,)
    assert granted.ends == NOW + DAY / 24
    assert service.counts == Counts(requests=1, issued=1)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        pytest.param(b"\xff\xff", "INVALID_ARGUMENT", "CSR signing error (CSR_ERROR)", id="no request"),
        pytest.param(b"", "INVALID_ARGUMENT", "CSR signing error (CSR_ERROR)", id="an empty request"),
        pytest.param(request(CSR[:-50]), "INVALID_ARGUMENT", "CSR signing error (CSR_ERROR)", id="a broken CSR"),
        pytest.param(
            request(seconds=91 * 86400), "INVALID_ARGUMENT", "CSR signing error (TTL_ERROR)", id="too long a life"
        ),
        pytest.param(
            request(seconds=2**63 - 1), "INVALID_ARGUMENT", "CSR signing error (TTL_ERROR)", id="the longest life"
        ),
        pytest.param(
            request(ImpersonatedIdentity=HTTPBIN),
            "UNAUTHENTICATED",
            "request impersonation authentication failure",
            id="as somebody else",
        ),
    ],
)
def test_a_caller_learns_a_status_and_no_more(content, code, message):
    refusal = refused(CertificateService(keeper().authority), content)
    assert (refusal.code, refusal.message) == (code, message)
    assert refusal.reason
    assert refusal.reason not in refusal.message


def test_a_life_below_zero_is_the_default():
    assert CertificateService(keeper().authority).create(request(seconds=-(2**63)), CALLER, NOW).ends == NOW + DAY


def test_an_expired_signer_is_our_trouble_not_the_callers():
    refusal = refused(CertificateService(keeper().authority), request(), now=NOW + 4000 * DAY)
    assert (refusal.code, refusal.message) == ("INTERNAL", "CSR signing error (CA_NOT_READY)")


def test_a_banned_caller_is_as_one_that_nobody_knows():
    kept = keeper()
    kept.revoke(SLEEP, NOW, ban=True)
    service = CertificateService(kept.authority)
    refusal = refused(service, request())
    assert (refusal.code, refusal.message) == ("UNAUTHENTICATED", service.unauthenticated("x").message)
    assert "ban" in refusal.reason


def test_who_may_be_somebody_else_is_asked():
    kept = keeper()
    service = CertificateService(kept.authority, impersonation=lambda caller, other: other == HTTPBIN)
    assert service.create(request(ImpersonatedIdentity=HTTPBIN), CALLER, NOW).identities == (HTTPBIN,)
    assert refused(service, request(ImpersonatedIdentity="spiffe://cluster.local/ns/a/sa/b")).code == "UNAUTHENTICATED"


def test_metadata_of_other_kinds_is_no_identity():
    service = CertificateService(keeper().authority)
    assert service.create(request(ImpersonatedIdentity=7), CALLER, NOW).identities == (SLEEP,)


def measured(kept, counts):
    return {(one.name, *one.labels.values()): one.value for one in samples(kept, counts, NOW)}


def test_metrics_have_istiods_names_and_tell_when_things_end():
    kept = keeper()
    service = CertificateService(kept.authority)
    service.create(request(), CALLER, NOW)
    refused(service, request(CSR[:-50]))
    found = measured(kept, service.counts)
    assert found["citadel_server_csr_count",] == 2
    assert found["citadel_server_csr_sign_err_count", "CSR_ERROR"] == 1
    assert found["citadel_server_success_cert_issuance_count",] == 1
    assert found["citadel_server_root_cert_expiry_seconds",] == 3650 * 86400
    assert not [name for name, *_ in found if "cert_chain" in name], "a self-signed root has no chain"


def test_a_chain_has_an_end_of_its_own_in_the_metrics(tmp_path):
    files = written(tmp_path, cacerts(below(root(), life=10 * DAY)))
    found = measured(keeper(plugged_in=PluggedInFolder(files)), Counts())
    assert found["citadel_server_cert_chain_expiry_seconds",] == 10 * 86400
    assert found["citadel_server_root_cert_expiry_seconds",] == 3650 * 86400


def test_metrics_tell_for_how_many_a_rotation_waits():
    kept = keeper()
    assert ("pilotpy_ca_rotation_waits", "activate") not in measured(kept, Counts())
    kept.authority.issue(CSR, [SLEEP], None, NOW, "sleep-1.default")
    kept.rotate(NOW)
    assert measured(kept, Counts())["pilotpy_ca_rotation_waits", "activate"] == 1


@pytest.mark.parametrize(
    ("life", "subjects"),
    [
        pytest.param(31 * DAY, 0, id="more than a month"),
        pytest.param(29 * DAY, 1, id="less than a month"),
        pytest.param(-DAY, 1, id="ended"),
    ],
)
def test_an_authority_within_a_month_of_its_end_is_told(life, subjects):
    ends = endings(slots(root(now=NOW - 40 * DAY, life=40 * DAY + life)), NOW)
    assert len(ends) == subjects


def test_how_it_stands_names_what_a_rotation_waits_for():
    kept = keeper()
    kept.authority.issue(CSR, [SLEEP], None, NOW, "sleep-1.default")
    kept.rotate(NOW)
    stands = status(kept, NOW)
    assert [signer.phase for signer in stands.signers] == ["active", "prepared"]
    assert [wait.holders for wait in stands.waits] == [("sleep-1.default",)]
    assert stands.warnings == ()


def test_a_signer_that_was_asked_for_is_told_to_the_log():
    service = CertificateService(keeper().authority)
    assert service.create(request(CertSigner="clusterissuers.example/a"), CALLER, NOW).unheeded_signer == (
        "clusterissuers.example/a"
    )
    assert not service.create(request(), CALLER, NOW).unheeded_signer


def admitted(service, caller, times):
    """At how many of these times somebody may ask."""
    found = 0
    for at in times:
        with suppress(Refused):
            service.admit(caller, at)
            found += 1
    return found


@pytest.mark.parametrize("speed", [1, 10_000])
def test_one_proxy_that_asks_without_end_gets_no_more_than_there_is_room_for(speed):
    service = CertificateService(keeper(terms=TERMS.at_speed(speed)).authority)
    often = [NOW + DAY / speed * part / 5000 for part in range(5000)]
    assert 300 < admitted(service, CALLER._replace(holder="sleep-1.default"), often) <= 600
    assert admitted(service, CALLER._replace(holder="sleep-2.default"), [NOW] * 100) == 100


def test_all_proxies_of_a_service_account_may_start_together_where_it_is_not_known_which_is_which():
    service = CertificateService(keeper().authority)
    assert (
        admitted(service, CALLER._replace(holder=""), [NOW + timedelta(seconds=part / 50) for part in range(3000)])
        == 3000
    )
