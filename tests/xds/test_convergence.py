"""Whatever happens on a stream, once it is quiet the client holds the world, but for what it refuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotpy.compile.encoded import EMPTY, Tree
from pilotpy.xds import delta, sotw
from pilotpy.xds.batch import Batches, version_of
from pilotpy.xds.publication import Publication
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE, ResourceType
from pilotpy.xds.session import Send, Session
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest
from tests.xds.playbook import tree
from tests.xds.world import resource

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
NAMES = ("a", "b", "c")
BAD = "bad"  # the client refuses this content

CONTENTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2", BAD]))
PUBLISH = st.tuples(st.just("publish"), st.fixed_dictionaries({type_.short: CONTENTS for type_ in TYPES}))
WATCH = st.tuples(st.just("watch"), st.sampled_from([ENDPOINT, ROUTE]), st.sets(st.sampled_from(NAMES), min_size=1))
STEPS = st.lists(
    st.one_of(PUBLISH, WATCH, st.tuples(st.sampled_from(["send", "answer", "lapse", "return"]))), max_size=30
)


class Client:
    """Does as Envoy does: takes what is good of a response, and refuses it naming what is not."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.inbox: deque[Send] = deque()
        self.held: dict[ResourceType, dict[str, str]] = {type_: {} for type_ in TYPES}
        self.names: dict[ResourceType, set[str]] = {ENDPOINT: {"a"}, ROUTE: {"a"}}
        self.refused: set[tuple[ResourceType, str]] = set()  # as last received on this stream
        self.begin(session)

    def begin(self, session: Session) -> None:
        """Open a stream and ask again for all that is held."""
        self.session = session
        self.inbox.clear()
        self.refused.clear()
        self.read: dict[ResourceType, str] = {}  # the last nonces
        self.nonces: set[str] = set()
        for type_ in TYPES:
            names = sorted(self.names.get(type_, ()))
            versions = {name: version_of(resource(name, it)) for name, it in self.held[type_].items()}
            self.request(type_, names, versions=versions)

    def request(self, type_, names=(), *, drops=(), nonce="", error="", versions: Mapping[str, str] | None = None):
        request: DeltaDiscoveryRequest | DiscoveryRequest
        if self.session.incremental:
            request = DeltaDiscoveryRequest(
                type_url=type_.url,
                response_nonce=nonce,
                resource_names_subscribe=names,
                resource_names_unsubscribe=drops,
                initial_resource_versions=versions or {},
            )
        else:
            request = DiscoveryRequest(
                type_url=type_.url, response_nonce=nonce, resource_names=sorted(self.names.get(type_, ()))
            )
        if error:
            request.error_detail.message = error
        receive = delta.receive if self.session.incremental else sotw.receive
        receive(self.session, request)

    def watch(self, type_: ResourceType, names: set[str]) -> None:
        before, self.names[type_] = self.names[type_], names
        for name in before - names:
            self.held[type_].pop(name, None)
        nonce = "" if self.session.incremental else self.read.get(type_, "")
        if nonce or self.session.incremental:  # else the names go with the first ACK
            self.request(type_, sorted(names - before), drops=sorted(before - names), nonce=nonce)

    def take(self) -> bool:
        send = self.session.next()
        if send is not None:
            self.inbox.append(send)
            assert send.nonce not in self.nonces, "two responses of a stream have one nonce"
            self.nonces.add(send.nonce)
            for r in send.batch.resources:
                again = r == resource(r.name, BAD) and (send.type, r.name) in self.refused
                assert not again, f"{send.type.short} {r.name} is sent again though it was refused"
        return send is not None

    def answer(self) -> None:
        if not self.inbox:
            return
        send = self.inbox.popleft()
        self.read[send.type] = send.nonce
        held, bad = self.held[send.type], []
        came = {r.name for r in send.batch.resources}
        if send.type.wildcard and not send.incremental:
            for name in held.keys() - came:
                del held[name]
        for r in send.batch.resources:
            if send.type.missing is not None and r == send.type.missing(r.name):
                held[r.name] = ""
                continue
            content = next(it for it in ("1", "2", BAD) if r == resource(r.name, it))
            if content == BAD:
                self.refused.add((send.type, r.name))
                bad.append(r.name)
            else:
                self.refused.discard((send.type, r.name))
                held[r.name] = content
        for name in send.batch.removed:
            held.pop(name, None)
            self.refused.discard((send.type, name))
        self.request(send.type, nonce=send.nonce, error=f"cannot take {', '.join(bad)}: bad" if bad else "")


class Stream:
    """A client, and the world that is published to it."""

    def __init__(self, *, incremental: bool) -> None:
        self.incremental = incremental
        self.batches = Batches()
        self.world = dict.fromkeys(TYPES, EMPTY)
        self.revision = 0
        self.client = Client(self._session())

    def _session(self) -> Session:
        session = Session(self.batches, incremental=self.incremental)
        session.changed(self._publication())
        return session

    def _publication(self) -> Publication:
        return Publication(self.revision, f"v{self.revision}", {type_.url: it for type_, it in self.world.items()})

    def step(self, step: tuple) -> None:
        client = self.client
        match step:
            case ("publish", contents):
                self.revision += 1
                self.world = {type_: tree(contents[type_.short]) for type_ in TYPES}
                client.session.changed(self._publication())
            case ("watch", type_, names):
                client.watch(type_, names)
            case ("send",):
                client.take()
            case ("answer",):
                client.answer()
            case ("lapse",):
                client.session.lapse()
            case ("return",):
                client.begin(self._session())

    def calm(self) -> None:
        """Let the client read and answer until there is nothing more."""
        for _ in range(200):
            if not self.client.take() and not self.client.inbox:
                return
            self.client.answer()
        raise AssertionError("it never becomes quiet")


def expected(type_: ResourceType, it: Tree, names: set[str]) -> dict[str, str]:
    """What a client must hold: contents by name, of what it watches and does not refuse."""
    contents = {r.name: next(c for c in ("1", "2", BAD) if r == resource(r.name, c)) for r in it}
    return {name: c for name, c in contents.items() if c != BAD and (type_.wildcard or name in names)}


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
@settings(max_examples=300)
@given(steps=STEPS)
def test_a_quiet_stream_has_converged(incremental, steps):
    stream = Stream(incremental=incremental)
    for step in steps:
        stream.step(step)
    stream.calm()
    client = stream.client
    assert not client.session.waits
    assert client.session.settled == stream.revision
    for type_, it in stream.world.items():
        held, must = client.held[type_], expected(type_, it, client.names.get(type_, set()))
        assert {name: held.get(name) for name in must} == must, type_.short
        if type_.wildcard:
            assert held.keys() <= {r.name for r in it}, f"{type_.short} that are gone are still held"
        else:
            answered = held.keys() | {name for refused, name in client.refused if refused is type_}
            assert client.names[type_] <= answered, f"{type_.short} that were never answered"
