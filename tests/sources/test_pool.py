"""Addresses out of one network."""

from ipaddress import ip_address, ip_network

import pytest

from pilotpy.sources.pool import Pool


@pytest.fixture
def pool():
    return Pool("10.0.0.0/28", 4)  # 10.0.0.4 to 10.0.0.14


def test_an_address_follows_from_the_name(pool):
    assert pool.address("a") == Pool("10.0.0.0/28", 4).address("a") != ""


def test_all_get_one_of_their_own_until_none_is_left(pool):
    found = [pool.address(str(i)) for i in range(11)]
    assert len(set(found)) == 11
    assert all(ip_address("10.0.0.4") <= ip_address(one) <= ip_address("10.0.0.14") for one in found)
    assert pool.address("one more") == ""
    pool.release("3")
    assert pool.address("one more") == found[3]


def test_who_has_one_keeps_it(pool):
    first = pool.address("a")
    for i in range(10):
        pool.address(str(i))
    assert pool.address("a") == first


def test_one_that_is_given_by_hand_is_not_given_again(pool):
    wanted = pool.address("a")
    assert pool.keep("b", wanted) == "a"
    assert pool.address("b") == wanted
    assert pool.address("a") != wanted
    pool.keep("b", "")
    pool.release("a")
    assert pool.address("a") == wanted


def test_two_may_be_given_the_same_by_hand(pool):
    pool.keep("a", "10.0.0.7")
    assert pool.keep("b", "10.0.0.7") is None
    pool.release("a")
    assert "10.0.0.7" not in {pool.address(str(i)) for i in range(10)}


def test_one_of_another_network_is_kept_as_it_is(pool):
    assert pool.keep("a", "192.168.1.1") is None
    assert pool.address("a") == "192.168.1.1"


def test_large_networks_have_room():
    assert ip_address(Pool("fd00:10:96::/112", 256).address("a")) in ip_network("fd00:10:96::/112")
