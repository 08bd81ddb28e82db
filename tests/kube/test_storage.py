"""Keys in a Secret of a real cluster, as `pilotpy_ca` stores them."""

from __future__ import annotations

import time
from random import Random

import pytest

from pilotpy.kube.blocking import PATIENCE, Blocking
from pilotpy.kube.secrets import SecretStorage, Unheard, stored
from pilotpy.sources.kubernetes.login import default_login
from pilotpy_ca.errors import Conflict

FILES = {"journal.json": b"{}", "ca-key.pem": b"a private key", "ca-cert.pem": b"\x00\xff"}


@pytest.fixture
def storage(apiserver):
    server = Blocking(default_login(apiserver.kubeconfig), Random(1))
    yield SecretStorage(server, apiserver.namespace())
    server.close()


def test_what_is_saved_is_loaded_and_takes_the_place_of_all_that_was_there(storage):
    assert storage.load() == ({}, "")
    first = storage.save(FILES, "")
    assert storage.load() == (FILES, first)
    second = storage.save({"ca-key.pem": b"another"}, first)
    assert storage.load() == ({"ca-key.pem": b"another"}, second)


def test_who_writes_over_what_it_has_not_seen_is_refused(storage):
    first = storage.save(FILES, "")
    with pytest.raises(Conflict):
        storage.save(FILES, "")
    storage.save(FILES | {"next-key.pem": b"new"}, first)
    with pytest.raises(Conflict):
        storage.save(FILES, first)


def test_a_server_that_does_not_answer_holds_nobody_up_for_long_and_not_twice(apiserver, storage):
    version = storage.save(FILES, "")
    apiserver.server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(Unheard):
            storage.save(FILES, version)
        assert time.monotonic() - began < PATIENCE.total_seconds() + 1
        began = time.monotonic()
        with pytest.raises(Unheard, match="to be asked again in"):
            storage.save(FILES, version)
        assert time.monotonic() - began < 0.5
    finally:
        apiserver.server.resume()


def test_nothing_that_is_stored_shows_itself(storage):
    storage.save(FILES, "")
    assert repr(storage.load()).endswith(": ca-cert.pem, ca-key.pem, journal.json>")
    with pytest.raises(Exception, match="not a Secret") as error:
        stored(b'{"metadata": {}, "data": {"ca-key.pem": "c2VjcmV0 not base64"}}')
    assert "c2VjcmV0" not in str(error.value)
