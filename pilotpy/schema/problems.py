"""All that is wrong with a value, held against the type that it should have.

The fast way of reading an object stops at the first error; this one is taken after it, and finds the
others too. Shapes come from msgspec's own description of the types, so the two cannot drift apart.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from pilotpy.model.message import Duration
from pilotpy.schema import paths
from pilotpy.schema.durations import duration


class Problem(NamedTuple):
    """One thing that is wrong."""

    field: str
    message: str
    hint: str = ""
    unknown: bool = False  # nothing but a field that nobody knows: the rest can be used


def problems(value: Any, expected: Any, path: str) -> Iterator[Problem]:
    """What keeps the value from being of the type, in the order in which it stands. Null is taken for absent."""
    yield from _problems(value, _shape(expected), path)


@cache
def _shape(expected: Any) -> inspect.Type:
    return inspect.type_info(expected)


def _problems(value: Any, shape: inspect.Type, path: str) -> Iterator[Problem]:
    match shape:
        case inspect.AnyType():
            pass
        case inspect.StructType():
            yield from _struct(value, shape, path)
        case inspect.VarTupleType(item_type=item):
            if not isinstance(value, list | tuple):
                yield _wrong(path, "a list", value)
                return
            for i, one in enumerate(value):
                yield from _problems(one, item, paths.below(path, i))
        case inspect.DictType(value_type=item):
            if not isinstance(value, Mapping):
                yield _wrong(path, "a mapping", value)
                return
            for key, one in value.items():
                yield from _problems(one, item, paths.below(path, str(key)))
        case inspect.UnionType():
            yield from _union(value, shape, path)
        case inspect.LiteralType():
            yield from _one_of(value, shape, path)
        case inspect.CustomType() | inspect.DateTimeType() | inspect.BytesType():
            yield from _text_of(value, shape, path)
        case _:
            yield from _plain(value, shape, path)


def _struct(value: Any, shape: inspect.StructType, path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _wrong(path, "a mapping", value)
        return
    known = {field.encode_name: field for field in shape.fields}
    for name, one in value.items():
        field = known.get(name)
        if field is not None:
            if one is not None:
                yield from _problems(one, field.type, paths.below(path, name))
        elif shape.cls.__struct_config__.forbid_unknown_fields:
            near = get_close_matches(_camel(str(name)), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else ""
            yield Problem(paths.below(path, str(name)), f"Unknown field {name!r}", hint, unknown=True)
    for name, field in known.items():
        if field.required and value.get(name) is None:
            yield Problem(paths.below(path, name), f"Missing required field {name!r}")


def _union(value: Any, shape: inspect.UnionType, path: str) -> Iterator[Problem]:
    """A union is an optional type or one of scalars: whatever fits is right."""
    choices = [one for one in shape.types if not isinstance(one, inspect.NoneType)]
    if value is None and len(choices) < len(shape.types):
        return
    if len(choices) == 1:
        yield from _problems(value, choices[0], path)
    elif not any(not list(_problems(value, one, path)) for one in choices):
        yield _wrong(path, " or ".join(_PLAIN[type(one)][0] for one in choices), value)


_PLAIN: dict[type[inspect.Type], tuple[str, tuple[type, ...]]] = {
    inspect.StrType: ("text", (str,)),
    inspect.BoolType: ("true or false", (bool,)),
    inspect.IntType: ("an integer", (int,)),
    inspect.FloatType: ("a number", (int, float)),
}


def _plain(value: Any, shape: inspect.Type, path: str) -> Iterator[Problem]:
    name, types = _PLAIN[type(shape)]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wants_quotes = str in types and isinstance(value, bool | int | float)
        yield _wrong(path, name, value)._replace(hint="Put it in quotes" if wants_quotes else "")
    elif isinstance(shape, inspect.IntType):
        least, most = shape.ge, shape.le
        if not (least is None or value >= least) or not (most is None or value <= most):
            yield Problem(path, f"Expected an integer from {least} to {most}, found {value}")


def _one_of(value: Any, shape: inspect.LiteralType, path: str) -> Iterator[Problem]:
    if not isinstance(value, str) or value not in shape.values:
        words = [str(choice) for choice in shape.values if choice]
        near = get_close_matches(str(value).upper(), words, n=1)
        hint = f"Did you mean {near[0]}?" if near else ""
        yield Problem(path, f"Expected one of {', '.join(words)}; found {_shown(value)}", hint)


def _text_of(value: Any, shape: inspect.Type, path: str) -> Iterator[Problem]:
    """Types that are written as text of a certain form."""
    if not isinstance(value, str):
        form = 'a duration such as "5s"' if isinstance(shape, inspect.CustomType) else "text"
        yield _wrong(path, form, value)
        return
    try:
        match shape:
            case inspect.DateTimeType():
                msgspec.convert(value, datetime)
            case inspect.BytesType():
                b64decode(value, validate=True)
            case _:
                custom(Duration, value)
    except msgspec.ValidationError:
        yield Problem(path, f"Expected a time such as 2030-01-31T12:00:00Z, found {_shown(value)}")
    except ValueError as error:
        base64 = isinstance(shape, inspect.BytesType)
        yield Problem(path, f"Expected base64: {error}" if base64 else str(error))


def custom(expected: type, value: Any) -> Any:
    """Msgspec's hook for types of our own. Raises ValueError with a sentence for the user."""
    if expected is Duration and isinstance(value, str):
        return duration(value)
    raise ValueError(f"Expected text, found {_shown(value)}")


def without_nulls(value: Any) -> Any:
    """The value without the fields that are null: in ProtoJSON, and to most of Kubernetes, they are absent."""
    if isinstance(value, Mapping):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def _wrong(path: str, expected: str, value: Any) -> Problem:
    return Problem(path, f"Expected {expected}, found {_shown(value)}")


def _shown(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
