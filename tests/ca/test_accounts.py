"""What replicas tell each other of who has which certificate, and what a rotation makes of it."""

import zlib
from datetime import timedelta

import msgspec
import pytest

from pilotpy_ca.accounts import Standing, Told, account, merged
from pilotpy_ca.errors import StorageError
from pilotpy_ca.ledger import Issued, Ledger
from tests.ca.scenery import DAY, HOUR, NOW, SLEEP

OLD, NEW = "1" * 64, "2" * 64


def issued(serial, holder, at=NOW, signer="old", roots=(OLD,)):
    return Issued(serial, signer, (SLEEP,), holder, at, at + DAY, frozenset(roots))


def told(*ledgers, **standings):
    return Told(standings, merged({str(number): account(ledger) for number, ledger in enumerate(ledgers)}))


def test_an_account_holds_all_that_its_ledger_does():
    ledger = Ledger([issued(1, "a.x"), issued(2, "b.x", signer="new", roots=(OLD, NEW)), issued(3, "")])
    ledger.report("a.x", {OLD, NEW})
    ledger.gone("b.x")
    again = merged({"one": account(ledger.copied())})
    assert list(again) == list(ledger)
    assert again.reported == ledger.reported
    for root in (OLD, NEW):
        assert again.lacking(root) == ledger.lacking(root)
    for signer in ("old", "new"):
        assert again.relying(signer) == ledger.relying(signer)


def test_of_certificates_of_one_holder_the_latest_counts_whoever_gave_it():
    first = Ledger([issued(1, "a.x"), issued(2, "b.x", NOW + HOUR)])
    second = Ledger([issued(3, "a.x", NOW + HOUR, "new", (NEW,)), issued(4, "b.x", NOW, "new", (NEW,))])
    for ledgers in ((first, second), (second, first)):
        found = told(*ledgers)
        assert found.lacking(NEW) == ("b.x",)
        assert found.relying("old") == ("b.x",)
        assert {one.serial for one in found.ledger.valid(SLEEP)} == {1, 2, 3, 4}, "all of them can be revoked"


def test_what_a_holder_told_one_replica_counts_for_the_certificate_of_another():
    first, second = Ledger([issued(1, "a.x")]), Ledger()
    second.report("a.x", {OLD, NEW})
    assert told(first, second).lacking(NEW) == ()


def test_who_is_gone_is_waited_for_no_longer_and_who_came_again_is():
    first, second = Ledger([issued(1, "a.x"), issued(2, "b.x")]), Ledger([issued(3, "b.x", NOW + HOUR)])
    first.gone("a.x")
    first.gone("b.x")
    assert told(first, second).relying("old") == ("b.x",)


BEHIND = [
    pytest.param(Standing("old", (OLD,)), True, True, id="does not know of it"),
    pytest.param(Standing("old", (OLD, NEW)), False, True, id="hands it out, and signs with the old one"),
    pytest.param(Standing("new", (OLD, NEW)), False, False, id="is there"),
    pytest.param(Standing("new", (OLD, NEW), told=False), True, True, id="could not tell what it gave"),
]


@pytest.mark.parametrize(("standing", "lacks", "relies"), BEHIND)
def test_a_replica_holds_a_rotation_up_that(standing, lacks, relies):
    found = told(one=Standing("new", (OLD, NEW)), two=standing)
    assert found.lacking(NEW) == (("replica two",) if lacks else ())
    assert found.relying("old") == (("replica two",) if relies else ())


def packed(roots=(), certificates=(), reported=None):
    told = {"signers": ["old"], "roots": roots, "certificates": certificates, "reported": reported or {}}
    return zlib.compress(msgspec.json.encode(told))


NO_ACCOUNTS = [
    pytest.param(b"", id="empty"),
    pytest.param(b"hello", id="text"),
    pytest.param(account(Ledger([issued(1, "a.x")]))[:-9], id="cut"),
    pytest.param(packed(reported={"a.x": 0}), id="trust in roots that it does not list"),
    pytest.param(packed([[OLD]], reported={"a.x": -7}), id="trust in roots before the first"),
    pytest.param(packed([[OLD]], [["1", [SLEEP], "a.x", 0, 0, 1, 0, True]]), id="a signer that it does not list"),
    pytest.param(packed([[OLD]], [["1", [SLEEP], "a.x", 0, 1 << 60, 0, 0, True]]), id="an end after all times"),
    pytest.param(packed([[OLD]], [["x", [SLEEP], "a.x", 0, 0, 0, 0, True]]), id="a number that is none"),
    pytest.param(zlib.compress(bytes(70 << 20)), id="megabytes in kilobytes"),
]


@pytest.mark.parametrize("text", NO_ACCOUNTS)
def test_what_is_no_account_is_refused_and_whose_it_is_is_told(text):
    with pytest.raises(StorageError, match="what replica two has told is not an account"):
        merged({"one": account(Ledger([issued(1, "a.x")])), "two": text})


def test_an_account_takes_little_room():
    from random import Random

    chance = Random(1)
    pods = [f"web-{chance.randrange(1 << 40):010x}.shop-{n % 50}" for n in range(10_000)]
    ledger = Ledger(issued(chance.getrandbits(159), pod, NOW + timedelta(seconds=n)) for n, pod in enumerate(pods))
    assert len(account(ledger)) < 10_000 * 60
