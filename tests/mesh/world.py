"""A mesh in an engine, written as users write it."""

from __future__ import annotations

from typing import Any

from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import KIND_OF, PROXIES
from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.mesh.view import View
from pilotpy.mesh.views import view
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents


def resources(text: str) -> list[Resource[Any]]:
    """Return the objects in a YAML text, all of which must be flawless."""
    read = documents(text, "in.yaml")
    assert not read.findings, read.findings
    decoded = [decode_object(document.raw) for document in read.objects]
    assert not [d.findings for d in decoded if d.findings], [d.findings for d in decoded]
    return [one.resource for one in decoded if one.resource]


class World:
    """An engine with objects, and questions about them."""

    def __init__(self, *texts: str) -> None:
        self.engine = Engine()
        self.write(*texts)

    def write(self, *texts: str) -> None:
        written = [resource for text in texts for resource in resources(text)]
        self.put(*written)

    def put(self, *written: Resource[Any]) -> None:
        self.engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in written)

    def drop(self, kind: str, namespace: str, name: str) -> None:
        self.engine.apply([Put(KIND_OF[kind], (namespace, name), None)])

    def announce(self, node_id: str, **metadata: Any) -> str:
        proxy = proxy_from_node(node_id, metadata)
        assert isinstance(proxy, Proxy), proxy
        self.engine.apply([Put(PROXIES, (proxy.id,), proxy)])
        return proxy.id

    def view(self, node_id: str, **metadata: Any) -> View:
        return self.engine.ask(view, self.announce(node_id, **metadata))

    def codes(self, query: Any, *key: Any) -> list[tuple[str, Ref | None]]:
        notes = self.engine.notes(query, *key)
        return sorted((note.code, note.ref) for note in notes if isinstance(note, Finding))
