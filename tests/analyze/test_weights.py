"""Weights that do not add up."""

import pytest

from tests.analyze.analysis import findings


def rule(protocol, *weights):
    split = ", ".join(f"{{destination: {{host: h}}, weight: {weight}}}" for weight in weights)
    return f"""
kind: Service
metadata: {{name: h, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
kind: VirtualService
metadata: {{name: v, namespace: shop}}
spec: {{hosts: [h], {protocol}: [{{route: [{split}]}}]}}
"""


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        pytest.param((90, 10), None, id="percentages"),
        pytest.param((100, 0), None, id="everything to one"),
        pytest.param((30,), None, id="one destination gets everything, whatever its weight"),
        pytest.param((30, 30), "60, not to 100: the destinations get 50 %, 50 %", id="too little"),
        pytest.param((95, 10), "105, not to 100: the destinations get 90.5 %, 9.52 %", id="too much"),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_shares_are_told_where_they_are_not_the_weights(protocol, weights, shares):
    found = [(one.field, one.message) for one in findings(rule(protocol, *weights)) if one.code == "PP0113"]
    assert found == ([(f"spec.{protocol}[0].route", f"The weights add up to {shares}")] if shares else [])
