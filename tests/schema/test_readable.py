"""As much of a refused object as can be read."""

import pytest
import yaml

from pilotpy.schema.readable import readable


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(
            "{selector: {a: b}, type: Wrong}", {"selector": {"a": "b"}}, id="without a value of the wrong kind"
        ),
        pytest.param("{ports: [{port: x}, {port: 80}]}", None, id="a list whose item is nothing without its field"),
        pytest.param("{ports: [{port: 80, nodePort: x}]}", {"ports": (80,)}, id="without one field of an item"),
        pytest.param("[]", {"ports": ()}, id="its name, if all the rest is wrong"),
    ],
)
def test_readable(text, left):
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": yaml.safe_load(text)}
    before = str(raw)
    found = readable(raw)
    assert str(raw) == before
    if left is None:
        assert found is None
    else:
        seen = {"selector": found.spec.selector, "ports": tuple(port.port for port in found.spec.ports)}
        assert {name: seen[name] for name in left} == left
