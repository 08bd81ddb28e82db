"""One stream of secrets as a playbook: this arrives, expect that."""

import pytest

from pilotpy.agent.sds_session import SECRETS, SdsSession
from pilotpy.agent.secrets import Sealed
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)


class State:
    """A stream of the state of the world."""

    def __init__(self, **versions: str) -> None:
        self.shelf = versions
        self.session = SdsSession(self.find, incremental=False)
        self.nonce = ""

    def find(self, name):
        return Sealed(name, self.shelf[name], b"") if name in self.shelf else None

    def ask(self, *names, nonce=None, error=""):
        nonce = self.nonce if nonce is None else nonce
        request = DiscoveryRequest(resource_names=names, response_nonce=nonce, type_url=SECRETS)
        if error:
            request.error_detail.message = error
        return self.read(self.session.asked(request.SerializeToString()))

    def change(self, **versions):
        self.shelf |= versions
        return self.read(self.session.changed())

    def read(self, answer):
        if answer is None:
            return None
        response = DiscoveryResponse.FromString(answer)
        self.nonce = response.nonce
        return len(response.resources), response.version_info


class Delta(State):
    """An incremental stream."""

    def __init__(self, **versions: str) -> None:
        super().__init__(**versions)
        self.session = SdsSession(self.find, incremental=True)

    def ask(self, *names, drop=(), held=None, nonce="", error=""):
        request = DeltaDiscoveryRequest(
            resource_names_subscribe=names,
            resource_names_unsubscribe=drop,
            initial_resource_versions=held or {},
            response_nonce=nonce,
        )
        if error:
            request.error_detail.message = error
        return self.read(self.session.asked(request.SerializeToString()))

    def read(self, answer):
        if answer is None:
            return None
        response = DeltaDiscoveryResponse.FromString(answer)
        self.nonce = response.nonce
        return {one.name: one.version for one in response.resources}


def test_what_is_asked_for_is_sent_and_an_ack_is_not_answered():
    stream = State(default="1", ROOTCA="1")
    assert stream.ask("default") == (1, "1")
    assert stream.ask("default") is None
    assert stream.session.is_current


def test_what_does_not_exist_yet_is_sent_once_it_does():
    stream = State()
    assert stream.ask("default") is None
    assert stream.change(default="1") == (1, "1")
    assert stream.change() is None


def test_a_change_is_pushed_and_not_current_before_it_is_acknowledged():
    stream = State(default="1")
    stream.ask("default")
    stream.ask("default")
    assert stream.change(default="2") == (1, "2")
    assert not stream.session.is_current
    stream.ask("default")
    assert stream.session.is_current


def test_what_was_refused_is_not_sent_again_until_it_changes():
    stream = State(default="1")
    stream.ask("default")
    assert stream.ask("default", error="no") is None
    assert stream.session.refusal == "no"
    assert stream.change() is None
    assert stream.change(default="2") == (1, "2")
    assert stream.ask("default") is None
    assert not stream.session.refusal


def test_a_stale_nonce_is_ignored():
    stream = State(default="1", ROOTCA="1")
    stream.ask("default")
    assert stream.ask("default", "ROOTCA", nonce="0") is None
    assert stream.ask("default", "ROOTCA") == (2, "1.1")


def test_names_that_are_no_longer_asked_for_are_forgotten():
    stream = State(default="1", ROOTCA="1")
    stream.ask("default", "ROOTCA")
    stream.ask("default")
    assert stream.change(ROOTCA="2") is None


def test_incremental_only_what_changed_is_sent():
    stream = Delta(default="1", ROOTCA="1")
    assert stream.ask("default", "ROOTCA") == {"default": "1", "ROOTCA": "1"}
    assert stream.change(ROOTCA="2") == {"ROOTCA": "2"}


def test_incremental_a_client_that_reconnects_is_not_sent_what_it_holds():
    stream = Delta(default="1", ROOTCA="2")
    assert stream.ask("default", "ROOTCA", held={"default": "1", "ROOTCA": "1"}) == {"ROOTCA": "2"}


def test_incremental_a_name_that_is_asked_for_again_is_sent_again():
    stream = Delta(default="1")
    stream.ask("default")
    assert stream.ask("default") == {"default": "1"}
    assert stream.ask(drop=["default"]) is None
    assert stream.change(default="2") is None


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
def test_nonsense_is_told_apart(incremental):
    with pytest.raises(ValueError, match="not a discovery request"):
        SdsSession(lambda _name: None, incremental=incremental).asked(b"\xff\xff")


def test_a_secret_on_its_way_does_not_show_itself():
    assert repr(Sealed("default", "1", b"key")) == "<secret default 1>"
