"""Whatever is handed in, decoding answers."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from pilotpy.model.resource import Severity
from pilotpy.schema.decode import decode, decode_object
from pilotpy.schema.documents import documents
from pilotpy.schema.kinds import SCHEMAS
from pilotpy.schema.mesh_config import mesh_config

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def _like(schema):
    """Objects whose first two levels have the right names, so that the values below are looked at."""
    fields = list(schema.spec.__struct_encode_fields__)
    spec = st.dictionaries(st.sampled_from(fields) | st.text(max_size=3), VALUES, max_size=4) if fields else VALUES
    meta = st.fixed_dictionaries(
        {"name": st.just("x") | VALUES}, optional={"labels": VALUES, "creationTimestamp": VALUES}
    )
    return st.fixed_dictionaries(
        {"kind": st.just(schema.kind), "apiVersion": st.just(f"{schema.group}/{min(schema.versions)}".lstrip("/"))},
        optional={"metadata": meta | VALUES, "spec": spec | VALUES, "status": VALUES, "data": VALUES},
    )


OBJECTS = st.one_of([_like(schema) for schema in SCHEMAS.values()]) | VALUES.filter(
    lambda value: isinstance(value, dict)
)


@given(OBJECTS)
def test_decoding_never_raises_and_never_refuses_in_silence(raw):
    resource, findings = decode_object(raw)
    if resource is None and raw.get("kind") in {kind for _, kind in SCHEMAS}:
        assert findings
    assert resource is None or not any(finding.severity is Severity.ERROR for finding in findings)


@given(OBJECTS)
def test_the_way_through_text_says_the_same(raw):
    assume(not str(raw.get("kind", "")).endswith("List"))
    (document,) = documents(json.dumps(raw), "f.json").objects
    assert decode_object(document.raw) == decode_object(raw)


@given(st.binary() | st.text() | st.text(alphabet="ab:-[]{}&*!#'\"|> \n\t01.,<").map(str.encode))
def test_reading_never_raises(content):
    found = documents(content, "f")
    for document in found.objects:
        decode_object(document.raw)
        assert document.lines.line("spec.a[0]") >= 1
    mesh_config(content, "f")


@given(st.text(), st.text(), VALUES)
def test_any_kind_and_version(kind, version, value):
    decode(kind, version, {"metadata": value})
