"""Playbooks for sessions: this arrives, that is expected to leave. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.compile.encoded import Encoded, Tree
from pilotpy.xds import delta, sotw
from pilotpy.xds.batch import Batches, version_of
from pilotpy.xds.publication import Publication
from pilotpy.xds.resource_type import ResourceType
from pilotpy.xds.session import Send, Session
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest
from tests.xds.world import resource

World = Mapping[ResourceType, Mapping[str, str]]  # contents by name


def tree(contents: Mapping[str, str]) -> Tree:
    return Tree(resource(name, content) for name, content in contents.items())


class Playbook:
    """A client's side of one stream, told in its words."""

    def __init__(self, world: World | None = None, *, incremental: bool) -> None:
        self.session = Session(Batches(), incremental=incremental)
        self.incremental = incremental
        self.nonces: dict[str, str] = {}  # the last received, by type URL
        self.names: dict[str, list[str]] = {}
        self.known = True  # whether the last request's nonce was
        self._revision = 0
        self._world: dict[ResourceType, dict[str, str]] = {}
        if world is not None:
            self.becomes(world)

    # -- arrives -------------------------------------------------------------------------------

    def becomes(self, world: World) -> Playbook:
        """The compiler publishes: these types are now exactly this, the others as they were."""
        self._revision += 1
        self._world |= {type_: dict(contents) for type_, contents in world.items()}
        trees = {type_.url: tree(contents) for type_, contents in self._world.items()}
        self.session.changed(Publication(self._revision, f"v{self._revision}", trees))
        return self

    def asks(
        self,
        type_: ResourceType,
        *names: str,
        drops: tuple[str, ...] = (),
        holds: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str = "",
    ) -> Playbook:
        self.names[type_.url] = list(names)
        request: DeltaDiscoveryRequest | DiscoveryRequest
        if self.incremental:
            request = DeltaDiscoveryRequest(
                type_url=type_.url,
                resource_names_subscribe=names,
                resource_names_unsubscribe=drops,
                initial_resource_versions=holds or {},
                response_nonce=nonce,
            )
        else:
            request = DiscoveryRequest(type_url=type_.url, resource_names=names, response_nonce=nonce)
        if error:
            request.error_detail.message = error
        self.known = (
            delta.receive(self.session, request)
            if isinstance(request, DeltaDiscoveryRequest)
            else sotw.receive(self.session, request)
        )
        return self

    def acks(self, type_: ResourceType, *names: str) -> Playbook:
        """Takes the last response; a state-of-the-world client says again what it wants."""
        if not self.incremental and not names:
            names = tuple(self.names[type_.url])
        return self.asks(type_, *names, nonce=self.nonces[type_.url])

    def nacks(self, type_: ResourceType, error: str, *names: str) -> Playbook:
        return self.asks(type_, *names, nonce=self.nonces[type_.url], error=error)

    def keeps_silent(self) -> Playbook:
        """So long that the session need not wait for an ACK."""
        self.session.lapse()
        return self

    # -- leaves --------------------------------------------------------------------------------

    def gets(self, type_: ResourceType, *names: str, gone: tuple[str, ...] = ()) -> Playbook:
        send = self.session.next()
        assert send is not None, f"expected {type_.short} {names}, nothing left"
        assert (send.type.short, _names(send), send.batch.removed) == (type_.short, set(names), gone)
        self.nonces[type_.url] = send.nonce
        self.last = send
        return self

    def gets_nothing(self) -> Playbook:
        send = self.session.next()
        assert send is None, f"expected nothing, got {send.type.short} {_names(send)} gone {send.batch.removed}"
        return self

    def holding(self, name: str, content: str) -> Playbook:
        """Of what was got last, this resource has that content."""
        found = {r.name: r for r in self.last.batch.resources}
        assert found[name] == resource(name, content)
        return self


def version(name: str, content: str = "") -> str:
    return version_of(resource(name, content))


def _names(send: Send) -> set[str]:
    names = [r.name for r in send.batch.resources]
    assert len(set(names)) == len(names), "a name came twice"
    return set(names)


def missing(type_: ResourceType, name: str) -> Encoded:
    assert type_.missing is not None
    return type_.missing(name)
