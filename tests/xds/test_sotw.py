"""State of the world: the decisions of istiod's ShouldRespond, one playbook each."""

from __future__ import annotations

import pytest

from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, EXTENSION, LISTENER, NAME_TABLE, ROUTE, SECRET
from tests.xds.playbook import Playbook, missing

WORLD = {
    CLUSTER: {"a": "1", "b": "1"},
    ENDPOINT: {"a": "1", "b": "1"},
    LISTENER: {"l": "1"},
    ROUTE: {"80": "1"},
    NAME_TABLE: {"": "1"},
}


def playbook(world=WORLD):
    return Playbook(world, incremental=False)


def connected():
    """A client that holds the world and has ACKed it."""
    play = playbook()
    play.asks(CLUSTER).gets(CLUSTER, "a", "b").acks(CLUSTER).gets_nothing()
    play.asks(ENDPOINT, "a", "b").gets(ENDPOINT, "a", "b").acks(ENDPOINT).gets_nothing()
    play.asks(LISTENER).gets(LISTENER, "l").acks(LISTENER).gets_nothing()
    return play.asks(ROUTE, "80").gets(ROUTE, "80").acks(ROUTE).gets_nothing()


@pytest.mark.parametrize("type_", [CLUSTER, LISTENER, NAME_TABLE], ids=lambda t: t.short)
def test_no_names_means_all_of_a_wildcard_type(type_):
    playbook().asks(type_).gets(type_, *WORLD[type_])


@pytest.mark.parametrize("type_", [CLUSTER, LISTENER, NAME_TABLE], ids=lambda t: t.short)
def test_an_empty_world_is_answered_too(type_):
    playbook({type_: {}}).asks(type_).gets(type_)


@pytest.mark.parametrize("type_", [ENDPOINT, ROUTE, SECRET, EXTENSION], ids=lambda t: t.short)
def test_no_names_means_none_of_the_others(type_):
    playbook().asks(type_).gets_nothing()


def test_a_nack_without_names_does_not_unsubscribe():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").nacks(ENDPOINT, "no").gets_nothing()
    play.becomes({ENDPOINT: {"a": "2"}}).gets(ENDPOINT, "a")


def test_no_names_later_unsubscribe():
    play = connected().asks(ENDPOINT, nonce="client-1/2").gets_nothing()
    play.becomes({ENDPOINT: {"a": "2"}}).gets_nothing()


def test_a_type_that_is_not_compiled_yet_is_answered_when_it_is():
    playbook({}).asks(CLUSTER).gets_nothing().becomes({CLUSTER: {"a": "1"}}).gets(CLUSTER, "a")


@pytest.mark.parametrize(("type_", "name"), [(ENDPOINT, "x"), (ROUTE, "9999")], ids=["endpoints", "routes"])
def test_a_name_that_nothing_has_gets_an_empty_resource(type_, name):
    play = playbook().asks(type_, name).gets(type_, name)
    assert play.last.batch.resources == (missing(type_, name),)


def test_an_ack_is_not_answered():
    playbook().asks(CLUSTER).gets(CLUSTER, "a", "b").acks(CLUSTER).gets_nothing()


def test_a_nack_is_not_answered_and_what_is_watched_goes_on():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").nacks(ENDPOINT, "no", "a").gets_nothing()
    assert play.session.watches[ENDPOINT.url].error == "no"
    play.becomes({ENDPOINT: {"a": "2"}}).gets(ENDPOINT, "a")


def test_an_expired_nonce_is_ignored():
    play = playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").asks(ENDPOINT, "a", "b", nonce="stranger")
    assert not play.known
    play.gets_nothing()


def test_no_nonce_begins_anew():
    connected().asks(CLUSTER).gets(CLUSTER, "a", "b")


def test_only_the_added_names_are_answered():
    playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").acks(ENDPOINT, "a", "b").gets(ENDPOINT, "b")


def test_dropped_names_are_not_answered_nor_pushed():
    play = connected().acks(ENDPOINT, "a").gets_nothing()
    play.becomes({ENDPOINT: {"a": "1", "b": "2"}}).gets_nothing()


def test_a_client_that_returns_gets_its_endpoints_again_after_its_clusters():
    play = playbook().asks(ENDPOINT, "a", nonce="of another stream").gets(ENDPOINT, "a")
    play.asks(CLUSTER, nonce="of another stream").gets(CLUSTER, "a", "b")
    play.acks(ENDPOINT, "a").gets(ENDPOINT, "a").acks(ENDPOINT, "a").gets_nothing()


def test_endpoints_are_pushed_alone():
    connected().becomes({ENDPOINT: {"a": "1", "b": "2"}}).gets(ENDPOINT, "b").gets_nothing()


def test_a_changed_cluster_brings_its_endpoints_though_they_are_the_same():
    play = connected().becomes({CLUSTER: {"a": "1", "b": "2"}})
    play.gets(CLUSTER, "a", "b").gets(ENDPOINT, "b").acks(ENDPOINT).acks(CLUSTER).gets_nothing()


def test_a_changed_listener_brings_the_routes_though_they_are_the_same():
    play = connected().becomes({LISTENER: {"l": "2"}})
    play.gets(LISTENER, "l").acks(LISTENER).gets(ROUTE, "80").acks(ROUTE).gets_nothing()


def test_clusters_leave_after_the_routes_to_them():
    play = connected().becomes({CLUSTER: {"a": "2"}, ROUTE: {"80": "2"}})
    play.gets(CLUSTER, "a", "b").acks(CLUSTER).gets(ENDPOINT, "a").acks(ENDPOINT).gets(ROUTE, "80").acks(ROUTE)
    play.gets(CLUSTER, "a").acks(CLUSTER).gets_nothing()


def test_what_was_refused_is_replaced_by_what_was_accepted_before():
    play = connected().becomes({CLUSTER: {"a": "2", "b": "2"}}).gets(CLUSTER, "a", "b")
    play.nacks(CLUSTER, "Error adding/updating cluster(s) b: no").gets(ENDPOINT, "a", "b").acks(ENDPOINT)
    play.becomes({CLUSTER: {"a": "3", "b": "2"}}).gets(CLUSTER, "a", "b").holding("a", "3").holding("b", "1")
    play.acks(CLUSTER).gets(ENDPOINT, "a").acks(ENDPOINT)
    assert play.session.watches[CLUSTER.url].error, "b is still refused"
    play.becomes({CLUSTER: {"a": "3", "b": "3"}}).gets(CLUSTER, "a", "b").holding("b", "3").acks(CLUSTER)
    assert not play.session.watches[CLUSTER.url].error


def test_what_was_refused_and_never_held_is_left_out():
    play = connected().becomes({LISTENER: {"l": "1", "m": "bad"}}).gets(LISTENER, "l", "m")
    play.nacks(LISTENER, "Error adding/updating listener(s) m: no").gets(ROUTE, "80").acks(ROUTE)
    play.becomes({LISTENER: {"l": "2", "m": "bad"}}).gets(LISTENER, "l")


@pytest.mark.parametrize("type_", [LISTENER, NAME_TABLE], ids=lambda t: t.short)
def test_that_the_last_resource_is_gone_is_said_with_an_empty_response(type_):
    play = playbook().asks(type_).gets(type_, *WORLD[type_]).acks(type_)
    play.becomes({type_: {}}).gets(type_).acks(type_).gets_nothing()


def test_a_cluster_that_was_refused_does_not_linger():
    play = playbook().asks(CLUSTER).gets(CLUSTER, "a", "b").nacks(CLUSTER, "cluster(s) a: no")
    play.becomes({CLUSTER: {"b": "2"}}).gets(CLUSTER, "b").acks(CLUSTER)


def test_the_names_in_a_nack_count():
    playbook().asks(ENDPOINT, "a").gets(ENDPOINT, "a").nacks(ENDPOINT, "no", "a", "b").gets(ENDPOINT, "b")
