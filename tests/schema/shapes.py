"""Raw objects of the right form, made from the types themselves."""

import re

from hypothesis import strategies as st
from msgspec import inspect

from pilotpy.model.message import ShortDuration

TEXTS = st.sampled_from(
    [
        "",
        "*",
        "a",
        "*.a.com",
        "a.com",
        "10.0.0.1",
        "10.0.0.0/8",
        "ns/a",
        "./*",
        "~",
        "unix:///s",
        "a:80",
        "5xx",
        "%",
        "(",
    ]
) | st.text(max_size=4)
NUMBERS = st.sampled_from([-1, 0, 1, 80, 100, 200, 500, 65536])


def raws(shape):
    """JSON values that are of the type."""
    return _RAWS.get(type(shape), lambda _: TEXTS)(shape)


def _texts(shape):
    if shape.pattern is None:
        return TEXTS.filter(lambda text: (shape.min_length or 0) <= len(text))
    return st.from_regex(re.compile(shape.pattern, re.ASCII)).filter(
        lambda text: (shape.min_length or 0) <= len(text) <= (shape.max_length or len(text))
    )


def _lists(shape):
    return st.lists(raws(shape.item_type), min_size=shape.min_length or 0, max_size=max(3, shape.min_length or 0))


def _numbers(shape):
    return NUMBERS.filter(lambda n: (shape.ge is None or n >= shape.ge) and (shape.le is None or n <= shape.le))


def _one_of(shape):
    return st.one_of([raws(one) for one in shape.types if not isinstance(one, inspect.NoneType)])


@st.composite
def _structs(draw, shape):
    needed = [field for field in shape.fields if field.required]
    others = [field for field in shape.fields if not field.required]
    chosen = draw(st.lists(st.sampled_from(others), max_size=5, unique_by=lambda field: field.name)) if others else []
    for exclusive in getattr(shape.cls, "exclusive", ()):
        rivals = [field for field in chosen if field.name in exclusive]
        chosen = [field for field in chosen if field not in rivals[1:]]
    return {field.encode_name: draw(raws(field.type)) for field in (*needed, *chosen)}


_RAWS = {
    inspect.AnyType: lambda _: st.sampled_from([{}, [], "a", 1]),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.BytesType: lambda _: st.sampled_from(["", "aGk="]),
    inspect.CustomType: lambda shape: st.sampled_from(
        ["0s", "1ms", "1h30m"] if shape.cls is ShortDuration else ["0s", "1ms", "1.5s", "-1s", "100us"]
    ),
    inspect.DateTimeType: lambda _: st.just("2030-01-31T12:00:00Z"),
    inspect.DictType: lambda shape: st.dictionaries(
        TEXTS, raws(shape.value_type), min_size=shape.min_length or 0, max_size=2
    ),
    inspect.FloatType: lambda _: st.floats(-1, 101),
    inspect.IntType: _numbers,
    inspect.LiteralType: lambda shape: st.sampled_from(shape.values),
    inspect.Metadata: lambda shape: raws(shape.type),
    inspect.StrType: _texts,
    inspect.StructType: _structs,
    inspect.UnionType: _one_of,
    inspect.VarTupleType: _lists,
}
