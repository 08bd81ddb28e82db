"""Incremental xDS: the decisions of istiod's delta.go, one playbook each, and the two that differ."""

from __future__ import annotations

import pytest

from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, ROUTE
from tests.xds.playbook import Playbook, missing, version

WORLD = {
    CLUSTER: {"a": "1", "b": "1"},
    ENDPOINT: {"a": "1", "b": "1"},
    LISTENER: {"l": "1", "m": "1"},
    ROUTE: {"80": "1", "81": "1"},
    NAME_TABLE: {"": "1"},
}


def playbook(world=WORLD):
    return Playbook(world, incremental=True)


def connected():
    """A client that holds the world and has ACKed it."""
    play = playbook()
    play.asks(CLUSTER).gets(CLUSTER, "a", "b").acks(CLUSTER).gets_nothing()
    play.asks(ENDPOINT, "a", "b").gets(ENDPOINT, "a", "b").acks(ENDPOINT).gets_nothing()
    play.asks(LISTENER).gets(LISTENER, "l", "m").acks(LISTENER).gets_nothing()
    return play.asks(ROUTE, "80", "81").gets(ROUTE, "80", "81").acks(ROUTE).gets_nothing()


@pytest.mark.parametrize("names", [(), ("*",)], ids=["no names", "a star"])
def test_both_ways_to_ask_for_everything(names):
    playbook().asks(CLUSTER, *names).gets(CLUSTER, "a", "b")


def test_an_empty_world_is_answered_too():
    playbook({LISTENER: {}}).asks(LISTENER).gets(LISTENER)


@pytest.mark.parametrize(("type_", "name"), [(ENDPOINT, "x"), (ROUTE, "9999")], ids=["endpoints", "routes"])
def test_a_name_that_nothing_has_gets_an_empty_resource(type_, name):
    play = playbook().asks(type_, name).gets(type_, name)
    assert play.last.batch.resources == (missing(type_, name),)


def test_a_cluster_asked_for_by_name_that_does_not_exist_is_said_to_be_gone():
    playbook().asks(CLUSTER, "a", "x").gets(CLUSTER, "a", gone=("x",))


def test_only_added_names_are_answered():
    playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").acks(ENDPOINT).asks(ENDPOINT, "b").gets(ENDPOINT, "b")


def test_a_name_that_is_watched_already_is_not_answered():
    connected().asks(ENDPOINT, "a").gets_nothing()


def test_an_ack_may_bring_names():
    playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").acks(ENDPOINT, "b").gets(ENDPOINT, "b")


def test_dropped_names_are_not_answered_nor_pushed():
    play = connected().asks(ENDPOINT, drops=("b",)).gets_nothing()
    play.becomes({ENDPOINT: {"a": "1", "b": "2"}}).gets_nothing()


def test_a_nonce_that_is_none_of_ours_is_ignored():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").asks(ENDPOINT, "b", nonce="stranger")
    assert not play.known
    play.gets_nothing()


def test_names_beside_the_late_ack_of_an_earlier_response_count():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a")
    late = play.nonces[ENDPOINT.url]
    play.asks(ENDPOINT, "b").gets(ENDPOINT, "b")
    play.asks(ENDPOINT, "c", nonce=late).gets(ENDPOINT, "c")


def test_names_beside_a_nack_count():
    playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").nacks(ENDPOINT, "no", "b").gets(ENDPOINT, "b")


def test_a_nack_alone_is_not_answered():
    play = playbook().asks(CLUSTER).gets(CLUSTER, "a", "b").nacks(CLUSTER, "no").gets_nothing()
    assert play.session.watches[CLUSTER.url].error == "no"


def test_clusters_that_are_asked_for_bring_all_endpoints_again():
    play = playbook().asks(ENDPOINT, "a", "b").gets(ENDPOINT, "a", "b").acks(ENDPOINT)
    play.asks(CLUSTER).gets(CLUSTER, "a", "b").acks(CLUSTER).gets(ENDPOINT, "a", "b").acks(ENDPOINT).gets_nothing()


def test_the_ack_of_clusters_brings_no_endpoints():
    connected().acks(CLUSTER).gets_nothing()


def test_only_what_changed_is_pushed():
    play = connected().becomes({CLUSTER: {"a": "1", "b": "2"}, LISTENER: {"l": "1", "m": "2"}})
    play.gets(CLUSTER, "b").acks(CLUSTER).gets(ENDPOINT, "b").acks(ENDPOINT).gets(LISTENER, "m").acks(LISTENER)
    play.gets_nothing()


def test_a_listener_that_is_gone_is_removed():
    connected().becomes({LISTENER: {"l": "1"}}).gets(LISTENER, gone=("m",)).acks(LISTENER).gets_nothing()


@pytest.mark.parametrize("type_", [ENDPOINT, ROUTE], ids=lambda t: t.short)
def test_of_what_is_asked_for_by_name_nothing_is_ever_removed(type_):
    connected().becomes({type_: {}}).gets_nothing()


def test_clusters_leave_after_the_routes_to_them():
    play = connected().becomes({CLUSTER: {"a": "1", "c": "1"}, ROUTE: {"80": "2", "81": "1"}})
    play.gets(CLUSTER, "c").acks(CLUSTER).gets(ROUTE, "80").gets_nothing().acks(ROUTE)
    play.gets(CLUSTER, gone=("b",)).acks(CLUSTER).gets_nothing()


def test_a_cluster_that_is_back_before_it_was_removed_is_not_removed_afterwards():
    play = connected().becomes({CLUSTER: {"a": "1"}, ROUTE: {"80": "2", "81": "1"}}).gets(ROUTE, "80")
    play.becomes(WORLD).acks(ROUTE).gets(CLUSTER, gone=("b",)).acks(CLUSTER)
    play.gets(CLUSTER, "b").acks(CLUSTER).gets(ENDPOINT, "b").acks(ENDPOINT).gets(ROUTE, "80")


def test_who_returns_is_sent_differences_only():
    play = playbook().asks(CLUSTER, holds={"a": version("a", "1"), "b": version("b", "0"), "old": "0"})
    play.gets(CLUSTER, "b", gone=("old",)).acks(CLUSTER)
    play.asks(LISTENER, holds={"l": version("l", "1"), "m": version("m", "1")}).gets(LISTENER)
    play.acks(LISTENER).asks(ROUTE, "80", "81", holds={"80": version("80", "1")}).gets(ROUTE, "81")


def test_who_returns_and_asks_for_no_clusters_is_sent_differences_of_endpoints():
    playbook().asks(ENDPOINT, "a", "b", holds={"a": version("a", "1")}).gets(ENDPOINT, "b")


def test_who_returns_with_clusters_is_sent_all_endpoints():
    play = playbook().asks(CLUSTER, holds={"a": version("a", "1"), "b": version("b", "1")}).gets(CLUSTER).acks(CLUSTER)
    play.asks(ENDPOINT, "a", "b", holds={"a": version("a", "1")}).gets(ENDPOINT, "a", "b")


def test_what_was_refused_is_not_sent_again():
    play = connected().becomes({CLUSTER: {"a": "2", "b": "2"}}).gets(CLUSTER, "a", "b")
    play.nacks(CLUSTER, "Error adding/updating cluster(s) b: no").gets(ENDPOINT, "a", "b").acks(ENDPOINT)
    assert play.session.rejections[-1].names == ("b",)
    play.becomes({CLUSTER: {"a": "3", "b": "2"}}).gets(CLUSTER, "a").acks(CLUSTER).gets(ENDPOINT, "a").acks(ENDPOINT)
    play.becomes({CLUSTER: {"a": "3", "b": "3"}}).gets(CLUSTER, "b").acks(CLUSTER)
    assert not play.session.watches[CLUSTER.url].error


def test_a_refusal_that_names_nobody_is_laid_on_all_that_was_new():
    play = connected().becomes({ROUTE: {"80": "2", "81": "2"}}).gets(ROUTE, "80", "81").nacks(ROUTE, "no")
    assert play.session.rejections[-1].names == ("80", "81")
    play.gets_nothing()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        pytest.param("cluster(s) outbound|80||a.b: no", ("outbound|80||a.b",), id="one name that begins as another"),
        pytest.param("outbound|80||a, outbound|80||a.b", ("outbound|80||a", "outbound|80||a.b"), id="both"),
        pytest.param("outbound|80||a.", ("outbound|80||a",), id="at the end of a sentence"),
    ],
)
def test_the_blame_is_laid_on_names_that_stand_alone(message, names):
    world = {CLUSTER: {"outbound|80||a": "", "outbound|80||a.b": ""}}
    play = playbook(world).asks(CLUSTER).gets(CLUSTER, *world[CLUSTER]).nacks(CLUSTER, message)
    assert play.session.rejections[-1].names == names


def test_who_dropped_the_star_gets_only_what_it_names():
    play = connected().asks(CLUSTER, "a", drops=("*",)).gets(CLUSTER, "a").acks(CLUSTER)
    play.gets(ENDPOINT, "a", "b").acks(ENDPOINT)
    play.becomes({CLUSTER: {"a": "1", "b": "9"}}).gets_nothing()


def test_a_late_refusal_is_not_laid_on_names_that_were_asked_for_since():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a")
    first = play.nonces[ENDPOINT.url]
    play.asks(ENDPOINT, "b", drops=("a",)).asks(ENDPOINT, nonce=first, error="no")
    play.gets(ENDPOINT, "b")


def test_a_refused_cluster_that_goes_is_removed_because_the_client_may_hold_an_older_one():
    play = playbook().asks(CLUSTER, holds={"a": "older", "b": version("b", "1")}).gets(CLUSTER, "a")
    play.nacks(CLUSTER, "cluster(s) a: no").becomes({CLUSTER: {"b": "1"}}).gets(CLUSTER, gone=("a",))
