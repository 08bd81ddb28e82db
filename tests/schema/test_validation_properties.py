"""Whatever has the right form is decoded without a word, judged without an exception, and always alike."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from pilotpy.model.mesh_config import MeshConfig
from pilotpy.schema import codes
from pilotpy.schema.admission import admitted
from pilotpy.schema.decode import decode_object
from pilotpy.schema.kinds import SCHEMAS, Place
from pilotpy.schema.mesh_config import mesh_config
from pilotpy.schema.problems import problems
from tests.schema.shapes import raws


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: f"{schema.kind} of {schema.group or 'core'}")
@given(data=st.data())
@settings(max_examples=25)
def test_what_has_the_right_form(schema, data):
    spec = data.draw(raws(inspect.type_info(schema.spec)))
    head = {"apiVersion": f"{schema.group}/{min(schema.versions)}".lstrip("/"), "kind": schema.kind}
    raw = head | {"metadata": {"name": "x"}} | (spec if schema.place is Place.BESIDE else {"spec": spec})
    resource, findings = decode_object(raw)
    assert resource is not None, findings
    assert findings == []
    assert list(problems(spec, schema.spec, "spec")) == []
    assert admitted(raw) == admitted(raw)


@given(raws(inspect.type_info(MeshConfig)))
def test_a_mesh_configuration_of_the_right_form(raw):
    _, findings = mesh_config(json.dumps(raw), "mesh.yaml")
    assert not [finding for finding in findings if finding.code == codes.UNKNOWN_FIELD]
