"""The script of a rotation, with time passed in: what moves, what waits for whom, and what survives a crash."""

import dataclasses
from datetime import timedelta
from itertools import pairwise, product

import pytest

from pilotpy_ca.certificates import fingerprint
from pilotpy_ca.errors import Conflict, RotationError, StorageError
from pilotpy_ca.keys import KeyType
from pilotpy_ca.slots import Phase
from tests.ca.scenery import CSR, DAY, HOUR, HTTPBIN, NOW, SLEEP, TERMS, MemoryStorage, keeper, trusts

MINUTE = timedelta(minutes=1)


def ticks(kept, start, until, every=MINUTE):
    """Let time pass; returns what was done, and when."""
    done, now = [], start
    while now < until:
        now += every
        done += [(event.what, now) for event in kept.tick(now)]
    return done


def phases(kept):
    return [slot.phase.value for slot in kept.authority.slots.all]


def issue(kept, now, name=SLEEP, holder="sleep-1.default"):
    return kept.authority.issue(CSR, [name], None, now, holder)


def blocks(bundle):
    end = "-----END CERTIFICATE-----\n"
    return [(block + end).encode() for block in bundle.split(end) if block]


def held(kept):
    return kept.authority.root_fingerprints


def test_a_rotation_waits_until_everybody_trusts_the_new_root_and_until_nobody_needs_the_old():
    kept = keeper()
    first = kept.authority.slots.active.signer.id
    issue(kept, NOW)
    issue(kept, NOW, HTTPBIN, "httpbin-1.default")
    kept.rotate(NOW)
    assert phases(kept) == ["active", "prepared"]
    assert len(kept.authority.roots) == 2, "the new root is published at once"
    assert ticks(kept, NOW, NOW + HOUR) == []
    assert [wait.holders for wait in kept.waits()] == [("httpbin-1.default", "sleep-1.default")]

    issue(kept, NOW + HOUR)
    kept.ledger.report("httpbin-1.default", held(kept))
    assert [what for what, _ in ticks(kept, NOW + HOUR, NOW + HOUR + 2 * MINUTE)] == ["activated"]
    assert phases(kept) == ["active", "old"]
    assert kept.authority.slots.active.signer.id != first
    assert len(kept.authority.roots) == 2, "the old root is still needed"

    after = NOW + 2 * HOUR
    issue(kept, after)
    assert ticks(kept, after, after + HOUR) == []
    assert [(wait.step, wait.holders) for wait in kept.waits()] == [("drop", ("httpbin-1.default",))]
    issue(kept, after + HOUR, HTTPBIN, "httpbin-1.default")
    assert [what for what, _ in ticks(kept, after + HOUR, after + 2 * HOUR)] == ["dropped"]
    assert len(kept.authority.roots) == 1
    assert kept.waits() == ()


def test_where_no_holder_is_known_a_rotation_waits_until_certificates_have_ended():
    kept = keeper()
    issue(kept, NOW, holder="")
    kept.rotate(NOW)
    done = ticks(kept, NOW, NOW + 2 * DAY, HOUR)
    assert [what for what, _ in done] == ["activated", "dropped"]
    assert all(at > NOW + DAY for _, at in done)


def test_a_holder_that_is_gone_holds_nothing_up():
    kept = keeper()
    issue(kept, NOW)
    kept.rotate(NOW)
    kept.ledger.gone("sleep-1.default")
    assert [what for what, _ in ticks(kept, NOW, NOW + HOUR)] == ["activated", "dropped"]


def test_every_certificate_is_believed_by_every_verifier_at_every_moment_of_a_year_of_rotations():
    """Two workloads that renew at half-life and learn roots only then; six new roots, and renewals in between."""
    kept = keeper(terms=dataclasses.replace(TERMS, root_life=50 * DAY))
    names = {SLEEP: "sleep-1.default", HTTPBIN: "httpbin-1.default"}
    held_by, shown, seen = {}, {}, []
    now = NOW
    while now < NOW + 365 * DAY:
        hours = (now - NOW) // HOUR
        if hours and hours % (60 * 24) == 0:
            kept.rotate(now)
        seen += [event.what for event in kept.tick(now)]
        renewing = [name for number, name in enumerate(names) if hours % 12 == number * 5 or name not in shown]
        for name, holder in names.items():
            if name in renewing:
                shown[name] = issue(kept, now, name, holder)
                held_by[name] = blocks(shown[name].elements[-1])
        for verifier, peer in product(names, names) if renewing else ():
            assert trusts(held_by[verifier], shown[peer], now), f"after {hours} hours"
        now += HOUR
    assert seen.count("activated") == seen.count("dropped") == 6
    assert seen.count("renewed") == 6
    assert len(kept.ledger) <= 8


def test_a_root_near_its_end_is_renewed_with_its_key_and_what_it_signed_still_verifies():
    kept = keeper(terms=dataclasses.replace(TERMS, root_life=100 * DAY, longest_life=90 * DAY))
    signer = kept.authority.slots.active.signer
    old_roots = kept.authority.roots
    leaf = kept.authority.issue(CSR, [SLEEP], 90 * DAY, NOW)
    done = ticks(kept, NOW, NOW + 85 * DAY, DAY)
    assert [what for what, _ in done] == ["renewed"]
    assert NOW + 80 * DAY < done[0][1] <= NOW + 82 * DAY
    later = NOW + 85 * DAY
    renewed = kept.authority.slots.active.signer
    assert renewed.id == signer.id
    assert fingerprint(renewed.certificate) != fingerprint(signer.certificate)
    assert trusts(kept.authority.roots, leaf, later)
    assert trusts(old_roots, kept.authority.issue(CSR, [SLEEP], None, later), later)


def test_a_root_that_was_renewed_often_is_not_renewed_more_often():
    kept = keeper(terms=dataclasses.replace(TERMS, root_life=100 * DAY))
    done = [at for what, at in ticks(kept, NOW, NOW + 3000 * DAY, DAY) if what == "renewed"]
    assert {(later - sooner) // DAY for sooner, later in pairwise(done)} == {82}


def test_an_expired_root_is_renewed_when_the_authority_comes_back():
    kept = keeper(terms=dataclasses.replace(TERMS, root_life=10 * DAY))
    ticks(kept, NOW + 30 * DAY, NOW + 30 * DAY + HOUR)
    assert kept.authority.issue(CSR, [SLEEP], None, NOW + 31 * DAY)


def test_a_clock_that_jumps_ahead_for_a_moment_changes_nothing():
    kept = keeper()
    issue(kept, NOW, holder="")
    kept.rotate(NOW)
    before = kept.authority.slots
    assert kept.tick(NOW + MINUTE) == ()
    assert kept.tick(NOW + 5 * 365 * DAY) == (), "one look is not enough to believe that five years went by"
    assert ticks(kept, NOW + MINUTE, NOW + HOUR) == []
    assert kept.authority.slots == before
    assert len(kept.ledger) == 1


def test_a_root_that_was_renewed_while_the_clock_was_ahead_is_valid_when_it_is_set_right():
    kept = keeper(terms=dataclasses.replace(TERMS, root_life=100 * DAY))
    done = ticks(kept, NOW + 95 * DAY, NOW + 95 * DAY + HOUR)
    assert [what for what, _ in done] == ["renewed"]
    assert trusts(kept.authority.roots, kept.authority.issue(CSR, [SLEEP], None, NOW), NOW)


def test_at_once_means_without_evidence():
    kept = keeper()
    issue(kept, NOW)
    kept.rotate(NOW, at_once=True)
    assert [event.what for event in kept.tick(NOW)] == ["activated"]
    assert phases(kept) == ["active", "old"], "what is in use is still believed"


def test_a_rotation_that_hangs_can_be_hurried_or_given_up():
    for end, expected in ((lambda kept: kept.rotate(NOW, at_once=True), "old"), (lambda kept: kept.abandon(), None)):
        kept = keeper()
        issue(kept, NOW)
        kept.rotate(NOW)
        end(kept)
        kept.tick(NOW + MINUTE)
        assert phases(kept)[1:] == ([expected] if expected else [])


def test_one_rotation_at_a_time():
    kept = keeper()
    kept.rotate(NOW)
    with pytest.raises(RotationError, match="already prepared"):
        kept.rotate(NOW)


def test_the_next_root_is_of_the_kind_of_key_of_the_one_before_unless_told_otherwise():
    kept = keeper(terms=dataclasses.replace(TERMS, key_type=KeyType.P384))
    kept.rotate(NOW)
    assert kept.authority.slots.next.signer.key.kind is KeyType.P384
    kept.abandon()
    kept.rotate(NOW, kind=KeyType.P256)
    assert kept.authority.slots.next.signer.key.kind is KeyType.P256


def test_a_tainted_signer_is_rotated_out_and_vouches_for_nobody_meanwhile():
    from tests.ca.scenery import leaf_of

    kept = keeper()
    before = issue(kept, NOW)
    kept.taint(kept.authority.slots.active.signer.id, NOW)
    assert phases(kept) == ["active", "prepared"]
    assert "tainted" in kept.authority.disowned(leaf_of(before))
    issue(kept, NOW + MINUTE)
    assert [what for what, _ in ticks(kept, NOW + MINUTE, NOW + HOUR)] == ["activated"]
    after = issue(kept, NOW + HOUR)
    assert kept.authority.disowned(leaf_of(after)) == ""
    assert [what for what, _ in ticks(kept, NOW + HOUR, NOW + 2 * HOUR)] == ["dropped"]


def test_a_tainted_signer_goes_at_once_if_that_is_asked_for():
    kept = keeper()
    first = kept.authority.slots.active.signer.id
    issue(kept, NOW)
    kept.taint(first, NOW, at_once=True)
    assert [event.what for event in kept.tick(NOW)] == ["activated", "dropped"]
    assert [slot.signer.id for slot in kept.authority.slots.all] != [first]
    assert len(kept.authority.roots) == 1


def test_a_tainted_next_signer_is_replaced_before_it_ever_signs():
    kept = keeper()
    kept.rotate(NOW)
    bad = kept.authority.slots.next.signer.id
    kept.taint(bad, NOW)
    assert bad not in [slot.signer.id for slot in kept.authority.slots.all]
    assert phases(kept) == ["active", "prepared"]


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(0, id="right after it began"),
        pytest.param(1, id="once the next signer is active"),
        pytest.param(2, id="once the old one is dropped"),
    ],
)
def test_a_restart_goes_on_where_the_rotation_was(stop):
    storage = MemoryStorage()
    kept = keeper(storage)
    kept.rotate(NOW)
    now = NOW
    done = []
    while len(done) < stop:
        now += MINUTE
        step = kept.tick(now)
        assert len(step) <= 1, "what a step frees has to last, so that no two come at once"
        done += step
    again = keeper(storage, now=now)
    assert [(slot.signer.id, slot.phase, slot.since) for slot in again.authority.slots.all] == [
        (slot.signer.id, slot.phase, slot.since) for slot in kept.authority.slots.all
    ]
    ticks(again, now, now + HOUR)
    assert phases(again) == ["active"]
    assert again.authority.slots.active.signer.id != keeper(MemoryStorage()).authority.slots.active.signer.id


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda kept: kept.rotate(NOW), id="a rotation"),
        pytest.param(lambda kept: kept.revoke(SLEEP, NOW), id="a revocation"),
        pytest.param(lambda kept: kept.taint(kept.authority.slots.active.signer.id, NOW), id="a taint"),
        pytest.param(lambda kept: kept.token_key(), id="the key of tokens"),
    ],
)
def test_what_cannot_be_stored_does_not_happen(change):
    storage = MemoryStorage()
    kept = keeper(storage)
    issue(kept, NOW)
    slots, roots, files = kept.authority.slots, kept.authority.roots, storage.files
    storage.full = True
    with pytest.raises(StorageError, match="No space"):
        change(kept)
    assert (kept.authority.slots, kept.authority.roots, storage.files) == (slots, roots, files)
    assert not kept.authority.revocations.certificates
    storage.full = False
    change(kept)


def test_a_full_disk_holds_a_step_back_and_loses_nothing():
    storage = MemoryStorage()
    kept = keeper(storage)
    kept.rotate(NOW)
    storage.full = True
    kept.tick(NOW + MINUTE)
    with pytest.raises(StorageError):
        kept.tick(NOW + 2 * MINUTE)
    assert phases(kept) == ["active", "prepared"]
    assert issue(kept, NOW + 2 * MINUTE), "signing goes on"
    storage.full = False
    kept.ledger.gone("sleep-1.default")
    assert "activated" in [what for what, _ in ticks(kept, NOW + 2 * MINUTE, NOW + HOUR)]


def test_of_two_that_begin_at_once_the_first_to_store_wins():
    class Raced(MemoryStorage):
        def save(self, files, after):
            if self.number == 0:
                keeper(rival := MemoryStorage())
                self.files, self.number = rival.files, 1
                raise Conflict("somebody was faster")
            return super().save(files, after)

    storage = Raced()
    kept = keeper(storage)
    assert storage.number == 1, "nothing was written over"
    assert kept.authority.slots.active.signer.key.pem() == storage.files["ca-key.pem"]


def test_a_change_by_another_process_is_taken_over_not_written_over():
    storage = MemoryStorage()
    ours, theirs = keeper(storage), keeper(storage)
    theirs.rotate(NOW)
    with pytest.raises(Conflict):
        ours.rotate(NOW)
    assert ours.authority.slots.next.signer.id == theirs.authority.slots.next.signer.id


def test_slots_have_exactly_one_active_signer_all_the_time():
    kept = keeper()
    seen = []
    kept.authority.on_change(lambda: seen.append(phases(kept)))
    kept.rotate(NOW)
    ticks(kept, NOW, NOW + HOUR)
    assert seen == [["active", "prepared"], ["active", "old"], ["active"]]
    assert all(row.count(Phase.ACTIVE.value) == 1 for row in seen)


@pytest.mark.parametrize("speed", [60, 3600], ids=lambda speed: f"{speed} times as fast")
def test_a_hurried_mesh_has_certificates_that_are_valid_now(speed):
    kept = keeper(terms=TERMS.at_speed(speed))
    assert issue(kept, NOW).ends == NOW + DAY / speed
    assert kept.authority.slots.active.signer.ends == NOW + 3650 * DAY / speed
