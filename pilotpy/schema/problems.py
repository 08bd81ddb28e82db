"""All that is wrong with a value, held against the type that it should have.

The fast way of reading an object stops at the first error; this one is taken after it, and finds the
others too. Shapes come from msgspec's own description of the types, so the two cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from pilotpy.model.message import Choice, Duration, ShortDuration
from pilotpy.model.resource import Severity
from pilotpy.schema import codes
from pilotpy.schema.durations import duration, short_duration
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems


def problems(value: Any, expected: Any, path: str) -> Problems:
    """What keeps the value from being of the type, in the order in which it stands. Null is taken for absent."""
    yield from _problems(value, _shape(expected), path)


@cache
def _shape(expected: Any) -> inspect.Type:
    return inspect.type_info(expected)


def _problems(value: Any, shape: inspect.Type, path: str) -> Problems:
    return _CHECKS[type(shape)](value, shape, path)


def _anything(_value: Any, _shape: inspect.AnyType, _path: str) -> Problems:
    yield from ()


def _list(value: Any, shape: inspect.VarTupleType, path: str) -> Problems:
    if not isinstance(value, list | tuple):
        yield _wrong(path, "a list", value)
        return
    yield from _count(len(value), shape, path)
    for i, one in enumerate(value):
        yield from _problems(one, shape.item_type, below(path, i))


def _mapping(value: Any, shape: inspect.DictType, path: str) -> Problems:
    if not isinstance(value, Mapping):
        yield _wrong(path, "a mapping", value)
        return
    yield from _count(len(value), shape, path)
    for key, one in value.items():
        yield from _problems(one, shape.value_type, below(path, str(key)))


def _count(number: int, shape: inspect.VarTupleType | inspect.DictType, path: str) -> Problems:
    if shape.min_length is not None and number < shape.min_length:
        yield Problem(path, f"At least {shape.min_length} of them must be there, found {number}")
    if shape.max_length is not None and number > shape.max_length:
        yield Problem(path, f"There may be at most {shape.max_length}, found {number}")


def _struct(value: Any, shape: inspect.StructType, path: str) -> Problems:
    if not isinstance(value, Mapping):
        yield _wrong(path, "a mapping", value)
        return
    known = {field.encode_name: field for field in shape.fields}
    for name, one in value.items():
        if one is None:  # null stands for absent
            continue
        if (field := known.get(name)) is not None:
            yield from _problems(one, field.type, below(path, name))
        elif shape.cls.__struct_config__.forbid_unknown_fields:
            near = get_close_matches(_camel(str(name)), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else ""
            yield unknown_field(path, str(name), hint)
    for name, field in known.items():
        if field.required and value.get(name) is None:
            yield Problem(below(path, name), f"Missing required field {name!r}")
    yield from _conflicts(value, shape, path)


def _conflicts(value: Mapping[str, Any], shape: inspect.StructType, path: str) -> Problems:
    if not issubclass(shape.cls, Choice):
        return
    names = {field.name: field.encode_name for field in shape.fields}
    for exclusive in shape.cls.exclusive:
        chosen = [names[name] for name in exclusive if value.get(names[name]) is not None]
        if len(chosen) > 1:
            yield Problem(path, f"Only one of {', '.join(chosen)} may be set")


def _union(value: Any, shape: inspect.UnionType, path: str) -> Problems:
    """A union is an optional type or one of scalars: whatever fits is right."""
    choices = [one for one in shape.types if not isinstance(one, inspect.NoneType)]
    if value is None and len(choices) < len(shape.types):
        return
    if len(choices) == 1:
        yield from _problems(value, choices[0], path)
    elif not any(not list(_problems(value, one, path)) for one in choices):
        yield _wrong(path, " or ".join(_PLAIN[type(one)][0] for one in choices), value)


_PLAIN: Final[dict[type[inspect.Type], tuple[str, tuple[type, ...]]]] = {
    inspect.StrType: ("text", (str,)),
    inspect.BoolType: ("true or false", (bool,)),
    inspect.IntType: ("an integer", (int,)),
    inspect.FloatType: ("a number", (int, float)),
}


def _plain(value: Any, shape: inspect.Type, path: str) -> Problems:
    name, types = _PLAIN[type(shape)]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wants_quotes = str in types and isinstance(value, bool | int | float)
        yield _wrong(path, name, value)._replace(hint="Put it in quotes" if wants_quotes else "")


def _text(value: Any, shape: inspect.StrType, path: str) -> Problems:
    if wrong := list(_plain(value, shape, path)):
        yield from wrong
    elif shape.min_length is not None and len(value) < shape.min_length:
        yield Problem(path, "The text may not be empty")
    elif shape.max_length is not None and len(value) > shape.max_length:
        yield Problem(path, f"The text may have at most {shape.max_length} characters, found {len(value)}")
    elif shape.pattern is not None and not re.search(shape.pattern, value):
        yield _wrong(path, f"text of the form {shape.pattern}", value)


def _described(value: Any, shape: inspect.Metadata, path: str) -> Problems:
    """A text whose form has a description: what is expected is said in its words."""
    for problem in _problems(value, shape.type, path):
        described = (shape.extra_json_schema or {}).get("description")
        yield _wrong(path, described, value) if isinstance(value, str) and value and described else problem


def _integer(value: Any, shape: inspect.IntType, path: str) -> Problems:
    if wrong := list(_plain(value, shape, path)):
        yield from wrong
    elif (shape.ge is not None and value < shape.ge) or (shape.le is not None and value > shape.le):
        yield Problem(path, f"Expected an integer from {shape.ge} to {shape.le}, found {value}")


def _one_of(value: Any, shape: inspect.LiteralType, path: str) -> Problems:
    if not isinstance(value, str | int) or isinstance(value, bool) or value not in shape.values:
        words = [str(choice) for choice in shape.values if choice]
        near = get_close_matches(str(value).upper(), [word.upper() for word in words], n=1)
        hint = f"Did you mean {next(word for word in words if word.upper() == near[0])}?" if near else ""
        yield Problem(path, f"Expected one of {', '.join(words)}; found {_shown(value)}", hint)


def _duration(value: Any, shape: inspect.CustomType, path: str) -> Problems:
    try:
        custom(shape.cls, value)
    except ValueError as error:
        yield Problem(path, str(error), "Write a number with a unit: 15s, 250ms, 1h30m")


def _time(value: Any, _shape: inspect.DateTimeType, path: str) -> Problems:
    try:
        msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        yield _wrong(path, "a time such as 2030-01-31T12:00:00Z", value)


def _bytes(value: Any, _shape: inspect.BytesType, path: str) -> Problems:
    try:
        msgspec.convert(value, bytes)
    except msgspec.ValidationError:
        yield _wrong(path, "text in base64", value)


_CHECKS: Final[dict[type[inspect.Type], Callable[[Any, Any, str], Problems]]] = {
    **dict.fromkeys(_PLAIN, _plain),
    inspect.StrType: _text,
    inspect.IntType: _integer,
    inspect.Metadata: _described,
    inspect.CustomType: _duration,
    inspect.DateTimeType: _time,
    inspect.BytesType: _bytes,
    inspect.AnyType: _anything,
    inspect.StructType: _struct,
    inspect.VarTupleType: _list,
    inspect.DictType: _mapping,
    inspect.UnionType: _union,
    inspect.LiteralType: _one_of,
}


def custom(expected: type, value: Any) -> Any:
    """What msgspec asks about types that it does not know. Raises ValueError with a sentence for the user."""
    if expected is Duration and isinstance(value, str):
        return duration(value)
    if expected is ShortDuration and isinstance(value, str):
        return short_duration(value)
    raise ValueError(f'Expected a duration such as "5s", found {_shown(value)}')


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


def unknown_field(path: str, name: str, hint: str = "") -> Problem:
    """A field that nobody knows. The rest of the object can be used."""
    message = f"Unknown field {name!r}: it is ignored"
    return Problem(below(path, name), message, hint, codes.UNKNOWN_FIELD, Severity.WARNING)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
