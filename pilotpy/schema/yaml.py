"""One YAML document as plain values, and the line of every field in it.

Built on the parser's events and not on its nodes, for three reasons: depth can be bounded (composing
deeply nested nodes overflows the C stack), repetition through aliases can be counted, and values
need no second pass. Anchors, aliases and merge keys work; tags other than YAML's own are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from yaml import MarkedYAMLError, YAMLError
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from pilotpy.schema import codes, paths, scalars

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 1_000_000  # in one document, aliases counted as often as they are used

_CORE = "tag:yaml.org,2002:"
_RESOLVED = {_CORE + name for name in ("int", "float", "bool", "null")}
_MERGE = "<<"


class Refused(Exception):
    """A document that cannot be read: code, sentence, and the line (1-based) counted from its start."""

    def __init__(self, code: str, message: str, line: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line


def values(text: str) -> Iterator[tuple[Any, int]]:
    """The documents of a text as plain values, each with its first line (1-based). Raises Refused."""
    return _read(text, seen=None)


def lines(text: str) -> dict[str, int]:
    """The line (1-based) of every field path of the first document. Raises Refused."""
    found: dict[str, int] = {}
    next(_read(text, found.__setitem__), None)
    return found


def _read(text: str, seen: Callable[[str, int], None] | None) -> Iterator[tuple[Any, int]]:
    events = CParser(text)
    try:
        while not isinstance(event := events.get_event(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                first = events.peek_event()
                yield _Document(events.get_event, seen).value(events.get_event(), "", 0), _line(first)
    except Refused:
        raise
    except ReaderError as error:
        line = text.count("\n", 0, max(error.position, 0)) + 1
        raise Refused(codes.UNREADABLE, f"Not text: {error.reason}", line) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise Refused(codes.UNREADABLE, f"Not YAML: {problem}", mark.line + 1 if mark else 1) from None
    except YAMLError as error:
        raise Refused(codes.UNREADABLE, f"Not YAML: {error}", 1) from None
    finally:
        events.dispose()


class _Document:
    """Builds the value of one document from its events."""

    def __init__(self, advance: Callable[[], Any], seen: Callable[[str, int], None] | None) -> None:
        self._advance = advance
        self._seen = seen
        self._anchors: dict[str, tuple[Any, int]] = {}  # name -> value, how many values it holds
        self._count = 0

    def value(self, event: Any, path: str, depth: int) -> Any:
        before = self._count
        self._count += 1
        if self._seen and path:
            self._seen(path, _line(event))
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if isinstance(event, ScalarEvent):
            result: Any = _scalar(event)
        elif depth == MAX_DEPTH:
            raise Refused(codes.TOO_MUCH, f"More than {MAX_DEPTH} levels deep", _line(event))
        elif isinstance(event, MappingStartEvent):
            result = self._mapping(event, path, depth + 1)
        else:
            result = self._sequence(event, path, depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = (result, self._count - before)
        if self._count > MAX_VALUES:
            raise Refused(codes.TOO_MUCH, f"More than {MAX_VALUES} values in one document", _line(event))
        return result

    def _alias(self, event: AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise Refused(codes.UNREADABLE, f"Alias *{event.anchor} stands before or inside its anchor", _line(event))
        result, size = self._anchors[event.anchor]
        self._count += size
        if self._count > MAX_VALUES:
            raise Refused(codes.TOO_MUCH, f"Aliases repeat more than {MAX_VALUES} values", _line(event))
        return result

    def _sequence(self, start: Any, path: str, depth: int) -> list[Any]:
        if start.tag not in {None, "!", _CORE + "seq"}:
            raise Refused(codes.UNREADABLE, f"Tag {start.tag} is not known", _line(start))
        result: list[Any] = []
        while not isinstance(event := self._advance(), CollectionEndEvent):
            result.append(self.value(event, paths.below(path, len(result)) if self._seen else "", depth))
        return result

    def _mapping(self, start: Any, path: str, depth: int) -> dict[str, Any]:
        if start.tag not in {None, "!", _CORE + "map"}:
            raise Refused(codes.UNREADABLE, f"Tag {start.tag} is not known", _line(start))
        result: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := self._advance(), CollectionEndEvent):
            key, line = self._key(event), _line(event)
            if key in result:
                raise Refused(codes.DUPLICATE_KEY, f"Key {key!r} stands twice in one mapping", line)
            into = paths.below(path, key) if self._seen else ""
            value = self.value(self._advance(), into, depth)
            if self._seen:
                self._seen(into, line)
            if key == _MERGE and event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
            else:
                result[key] = value
        for one in merged:
            if not isinstance(one, dict):
                raise Refused(codes.UNREADABLE, "A merge key (<<) takes a mapping or a list of them", _line(start))
            result = one | result
        return result

    def _key(self, event: Any) -> str:
        if isinstance(event, AliasEvent):
            key = self._alias(event)
        elif isinstance(event, ScalarEvent):
            key = _scalar(event, scalars.key)
        else:
            raise Refused(codes.UNREADABLE, "A mapping or list cannot be a key; is this a template?", _line(event))
        return key if isinstance(key, str) else str(key)


def _scalar(event: ScalarEvent, read: Callable[[str], Any] = scalars.plain) -> Any:
    """A scalar's value; quoted ones are text."""
    tag = event.tag
    if (tag is None and event.implicit[0]) or tag in _RESOLVED:
        try:
            return read(event.value)
        except ValueError as error:
            raise Refused(codes.UNREADABLE, str(error), _line(event)) from None
    if tag in {None, "!", _CORE + "str"}:
        return event.value
    raise Refused(codes.UNREADABLE, f"Tag {tag} is not known", _line(event))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
