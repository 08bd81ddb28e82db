"""Field paths read back as the steps they were made of."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from pilotpy.schema import paths


def test_a_path_reads_as_people_write_it():
    steps = ["spec", "http", 0, "route", 1, "weight"]
    assert reduce(paths.below, steps, "") == "spec.http[0].route[1].weight"


def test_a_key_with_dots_stands_in_quotes():
    assert paths.below("metadata.labels", "app.kubernetes.io/name") == 'metadata.labels["app.kubernetes.io/name"]'


@given(st.lists(st.text() | st.integers(0, 10**6), min_size=1))
def test_steps_come_back(steps):
    assert paths.steps(reduce(paths.below, steps, "")) == tuple(steps)


def test_removing_takes_out_one_field():
    value = {"spec": {"http": [{"timeot": "5s", "timeout": "5s"}]}}
    paths.remove(value, "spec.http[0].timeot")
    assert value == {"spec": {"http": [{"timeout": "5s"}]}}
