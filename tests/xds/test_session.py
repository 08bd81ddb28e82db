"""The order of what leaves, and what happens to the order while clients are slow."""

from __future__ import annotations

import pytest

from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.xds.playbook import Playbook
from tests.xds.test_delta import connected

NEXT = {
    CLUSTER: {"a": "2", "b": "1"},
    ENDPOINT: {"a": "2", "b": "1"},
    LISTENER: {"l": "2", "m": "1"},
    ROUTE: {"80": "2", "81": "1"},
}


def test_types_follow_each_other_each_after_the_ack_of_the_one_before():
    play = connected().becomes(NEXT)
    for type_, name in ((CLUSTER, "a"), (ENDPOINT, "a"), (LISTENER, "l"), (ROUTE, "80")):
        play.gets(type_, name).gets_nothing().acks(type_)
    play.gets_nothing()


def test_a_client_that_does_not_ack_gets_the_next_type_after_a_while():
    play = connected().becomes(NEXT).gets(CLUSTER, "a").gets_nothing()
    assert play.session.waits
    play.keeps_silent().gets(ENDPOINT, "a").gets_nothing().keeps_silent().gets(LISTENER, "l")


def test_a_nack_does_not_block_the_next_type():
    connected().becomes(NEXT).gets(CLUSTER, "a").nacks(CLUSTER, "a: no").gets(ENDPOINT, "a")


def test_a_publication_is_finished_before_the_next_and_those_between_are_skipped():
    play = connected().becomes({CLUSTER: {"a": "2", "b": "1"}, ROUTE: {"80": "2", "81": "1"}}).gets(CLUSTER, "a")
    for content in "3456":
        play.becomes({CLUSTER: {"a": content, "b": "1"}, ROUTE: {"80": content, "81": "1"}})
    play.acks(CLUSTER).gets(ENDPOINT, "a").acks(ENDPOINT).gets(ROUTE, "80").holding("80", "2").acks(ROUTE)
    play.gets(CLUSTER, "a").holding("a", "6").acks(CLUSTER).gets(ENDPOINT, "a").acks(ENDPOINT)
    play.gets(ROUTE, "80").holding("80", "6").acks(ROUTE).gets_nothing()


def test_a_change_and_its_undoing_while_the_client_is_slow_send_nothing():
    play = connected().becomes({ROUTE: {"80": "2", "81": "1"}}).gets(ROUTE, "80")
    play.becomes({LISTENER: {"l": "9", "m": "1"}}).becomes({LISTENER: {"l": "1", "m": "1"}})
    play.acks(ROUTE).gets_nothing()


def test_requests_are_answered_while_a_push_waits_and_from_the_same_publication():
    play = connected().becomes(NEXT).gets(CLUSTER, "a")
    play.becomes({ENDPOINT: {"a": "3", "b": "1", "c": "3"}})
    play.asks(ENDPOINT, "c").gets(ENDPOINT, "c")
    assert play.last.version == "v2"


def test_settled_is_the_last_publication_that_was_answered_to_the_end():
    play = connected().becomes(NEXT).gets(CLUSTER, "a").acks(CLUSTER).gets(ENDPOINT, "a")
    assert play.session.settled == 1
    play.acks(ENDPOINT).gets(LISTENER, "l").acks(LISTENER).gets(ROUTE, "80").acks(ROUTE).gets_nothing()
    assert play.session.settled == 2


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
def test_all_can_be_sent_again(incremental):
    play = Playbook({CLUSTER: {"a": "1"}, LISTENER: {"l": "1"}}, incremental=incremental)
    play.asks(CLUSTER).gets(CLUSTER, "a").acks(CLUSTER).asks(LISTENER).gets(LISTENER, "l").acks(LISTENER)
    play.session.resend()
    play.gets(CLUSTER, "a").acks(CLUSTER).gets(LISTENER, "l").acks(LISTENER).gets_nothing()
