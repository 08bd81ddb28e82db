"""What is written of a resource reads as that resource again."""

import json
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from pilotpy.schema.decode import decode_object
from pilotpy.schema.kinds import SCHEMAS
from pilotpy.schema.written import written, written_object
from tests.schema.shapes import raws

MESH = sorted(
    (schema for schema in SCHEMAS.values() if schema.group.endswith((".istio.io", "networking.k8s.io"))),
    key=lambda schema: (schema.group, schema.kind),
)


@pytest.mark.parametrize("schema", MESH, ids=lambda schema: schema.called)
@given(data=st.data())
@settings(max_examples=25)
def test_it_reads_as_the_same_resource(schema, data):
    raw = {
        "apiVersion": f"{schema.group}/{min(schema.versions)}",
        "kind": schema.kind,
        "metadata": {"name": "a", "namespace": "b", "labels": {"c": "d"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": data.draw(raws(inspect.type_info(schema.spec))),
    }
    resource = decode_object(raw).resource
    assume(resource is not None)
    again = decode_object(json.loads(json.dumps(written_object(resource, schema.group))))
    assert again.resource == resource, again.findings


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=3), "3s"),
        (timedelta(milliseconds=1500), "1.5s"),
        (timedelta(microseconds=1), "0.000001s"),
        (timedelta(hours=100), "360000s"),
        (timedelta(0), "0s"),
        (timedelta(seconds=-1), "-1s"),
    ],
)
def test_durations_are_written_in_seconds(span, text):
    assert written(span) == text
