"""What one response carries, and its bytes: pre-encoded resources joined by tags and lengths.

Batches depend on collections and names only, never on the client, so clients with the same view share them and
their joined bytes. Source: envoy/service/discovery/v3/discovery.proto (DiscoveryResponse, DeltaDiscoveryResponse).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from pilotpy.compile.encoded import Encoded, Rope, Tree, differences
from pilotpy.compile.wire import delimited, varint
from pilotpy.xds.names import Names
from pilotpy.xds.resource_type import ResourceType


class Batch:
    """Resources to send and names to take back. Shared, never changed."""

    __slots__ = ("_last", "removed", "resources")

    def __init__(self, resources: Iterable[Encoded] = (), removed: Iterable[str] = ()) -> None:
        self.resources = tuple(resources)
        self.removed = tuple(removed)
        self._last: dict[bool, tuple[bytes, bytes]] = {}  # the latest head and response, whether incremental

    def __bool__(self) -> bool:
        return bool(self.resources or self.removed)

    def after(self, head: bytes, type_: ResourceType, *, incremental: bool) -> bytes:
        """A response: its head, then the resources as field 2 (and if incremental the removed names as field 6).

        The same object while the head is the same: a table of routes for a thousand clients is joined once.
        """
        last = self._last.get(incremental)
        if last is not None and last[0] == head:
            return last[1]
        pieces: list[bytes | memoryview]
        if last is not None:
            pieces = [memoryview(last[1])[len(last[0]) :]]
        elif incremental:
            pieces = [*_versioned(type_, self.resources), *(_string(6, name) for name in self.removed)]
        else:
            pieces = [*_plain(type_, self.resources)]
        response = b"".join((head, *pieces))
        self._last[incremental] = head, response
        return response


class Batches:
    """Makes batches, and keeps the latest of them for the clients that want the same.

    A batch is found again by digests, so it may be dropped at any time; `most` bounds how many are kept and `room`
    the bytes of their bodies.
    """

    __slots__ = ("_kept", "_most", "_room", "_size")

    def __init__(self, most: int = 512, room: int = 128 << 20) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[Batch, int]] = OrderedDict()
        self._most = most
        self._room = room
        self._size = 0

    def whole(self, type_: ResourceType, tree: Tree, names: Names | None) -> Batch:
        """Everything of a collection that is called by one of `names` (None: all), and what stands for the missing."""
        return self._once(("whole", type_, tree, names), lambda: _whole(type_, tree, names))

    def changes(self, old: Tree, new: Tree, names: Names | None) -> Batch:
        """What somebody who holds `old` needs in order to hold `new`, as far as the names go (None: all)."""
        return self._once(("changes", old, new, names), lambda: _changes(old, new, names))

    def _once(self, key: tuple[object, ...], make: Callable[[], Batch]) -> Batch:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept[0]
        batch = make()
        size = sum(resource.size for resource in batch.resources)
        self._kept[key] = batch, size
        self._size += size
        while len(self._kept) > self._most or (self._size > self._room and len(self._kept) > 1):
            self._size -= self._kept.popitem(last=False)[1][1]
        return batch


def _whole(type_: ResourceType, tree: Tree, names: Names | None) -> Batch:
    found: dict[str, Encoded] = {}
    for resource in tree:
        if names is None or resource.name in names:
            found.setdefault(resource.name, resource)
    resources = list(found.values())
    if names is None or len(found) == len(names):
        return Batch(resources)
    missing = sorted(names - found.keys())
    if type_.quiet:
        return Batch(resources)
    if type_.missing is None:
        return Batch(resources, missing)
    return Batch([*resources, *map(type_.missing, missing)])


def _changes(old: Tree, new: Tree, names: Names | None) -> Batch:
    changed, gone = differences(old, new)
    if names is None:
        return Batch(changed.values(), gone)
    return Batch(
        (resource for name, resource in changed.items() if name in names), (name for name in gone if name in names)
    )


def found(tree: Tree, names: Names) -> dict[str, Encoded]:
    """The resources of a collection that have one of these names; the names that nothing has are absent."""
    return {resource.name: resource for resource in tree if resource.name in names} if names else {}


def response(type_: ResourceType, batch: Batch, version: str, nonce: str, *, incremental: bool) -> bytes:
    """A DiscoveryResponse, or if incremental a DeltaDiscoveryResponse, in wire format."""
    head = _string(1, version) + _string(4, type_.url) + _string(5, nonce)
    return batch.after(head, type_, incremental=incremental)


def version_of(resource: Encoded) -> str:
    """The version of one resource on incremental streams: equal version, equal bytes, whoever made them."""
    return resource.digest.hex()


def _plain(type_: ResourceType, resources: Iterable[Encoded]) -> list[bytes]:
    url = _string(1, type_.url)
    pieces: list[bytes] = []
    for resource in resources:
        value = b"\x12" + varint(resource.size)
        pieces += (b"\x12" + varint(len(url) + len(value) + resource.size) + url + value, *_bytes_of(resource))
    return pieces


def _versioned(type_: ResourceType, resources: Iterable[Encoded]) -> list[bytes]:
    url = _string(1, type_.url)
    pieces: list[bytes] = []
    for resource in resources:
        value = b"\x12" + varint(resource.size)
        packed = b"\x12" + varint(len(url) + len(value) + resource.size) + url + value
        head = _string(1, version_of(resource)) + _string(3, resource.name) + packed
        pieces += (b"\x12" + varint(len(head) + resource.size) + head, *_bytes_of(resource))
    return pieces


def _bytes_of(resource: Encoded) -> Iterable[bytes]:
    return resource.body if isinstance(resource.body, Rope) else (resource.body,)


def _string(field: int, text: str) -> bytes:
    return delimited(field, text.encode())
