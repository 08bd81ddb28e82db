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


def test_listeners_and_routes_follow_once_what_they_point_to_is_taken():
    play = connected().becomes(NEXT)
    play.gets(CLUSTER, "a").gets(ENDPOINT, "a").gets_nothing().acks(ENDPOINT).gets_nothing().acks(CLUSTER)
    play.gets(LISTENER, "l").gets(ROUTE, "80").gets_nothing()


def test_endpoints_do_not_wait_for_their_clusters_which_envoy_acks_only_when_they_have_them():
    connected().becomes({CLUSTER: {"a": "2", "b": "1"}}).gets(CLUSTER, "a").gets(ENDPOINT, "a")


def test_the_endpoints_of_a_new_cluster_are_answered_before_it_is_acked():
    play = connected().becomes({CLUSTER: {"a": "1", "b": "1", "c": "1"}, ENDPOINT: {"a": "1", "b": "1", "c": "1"}})
    play.gets(CLUSTER, "c").gets_nothing()
    play.asks(ENDPOINT, "c").gets(ENDPOINT, "c").acks(ENDPOINT).acks(CLUSTER).gets_nothing()


def test_a_client_that_does_not_ack_gets_the_rest_after_a_while():
    play = connected().becomes(NEXT).gets(CLUSTER, "a").gets(ENDPOINT, "a").gets_nothing()
    assert play.session.waits
    play.keeps_silent().gets(LISTENER, "l").gets(ROUTE, "80").gets_nothing()


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


def test_the_blame_for_a_cluster_that_lingers_falls_on_no_other():
    play = Playbook({CLUSTER: {"a": "bad"}}, incremental=False).asks(CLUSTER).gets(CLUSTER, "a")
    play.keeps_silent().becomes({CLUSTER: {"b": "1"}}).gets(CLUSTER, "a", "b").nacks(CLUSTER, "cluster(s) a: no")
    play.gets(CLUSTER, "b")


def test_what_was_refused_in_an_answer_is_not_pushed_either():
    play = connected().becomes({CLUSTER: {"a": "2", "b": "1"}, ROUTE: {"80": "1", "81": "1", "82": "bad"}})
    play.gets(CLUSTER, "a").gets(ENDPOINT, "a").asks(ROUTE, "82").gets(ROUTE, "82").nacks(ROUTE, "82: bad")
    play.acks(ENDPOINT).acks(CLUSTER).gets_nothing()
