"""What a lab leaves for other shells."""

import os

import pytest

from pilotpy.lab import state
from pilotpy.lab.commands import NotRunning, Publish, pod_named
from pilotpy.lab.state import PodRecord, State


def record(name, namespace="default", phase="ready"):
    return PodRecord(name, namespace, "10.44.1.1", "default", (80,), phase, 7, "/hosts", sidecar=True)


def lab(*pods):
    return State(os.getpid(), own_user=False, folders=(), urls={}, pods=pods, settled=True, keys="", plane=True)


def test_a_lab_is_there_as_long_as_its_lock_is_held(tmp_path):
    held = state.lock(tmp_path)
    assert state.read(tmp_path) is None
    state.write(tmp_path, lab(record("a")))
    assert state.read(tmp_path).pods[0].name == "a"
    os.close(held)
    assert state.read(tmp_path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_there_is_one_lab_at_a_time(tmp_path):
    held = state.lock(tmp_path)
    with pytest.raises(state.Taken, match="lab down"):
        state.lock(tmp_path)
    os.close(held)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("reviews-v1-x-1", "reviews-v1-x-1", id="a pod by its name"),
        pytest.param("reviews-v1", "reviews-v1-x-2", id="a workload: a pod of it that is ready"),
        pytest.param("details.other", "details-1", id="in its namespace"),
    ],
)
def test_pods_are_named_as_people_do(text, expected):
    pods = (
        record("details-1", "other"),
        record("reviews-v1-x-1", phase="starting"),
        record("reviews-v1-x-2"),
    )
    assert pod_named(lab(*pods), text).name == expected


def test_a_pod_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(NotRunning, match=r"details-1\.default"):
        pod_named(lab(record("details-1")), "ratings")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("8080:web.shop:80", Publish(8080, "web", "shop", 80), id="all of it"),
        pytest.param("web:80", Publish(0, "web", "default", 80), id="any free port, the default namespace"),
    ],
)
def test_published_ports(text, expected):
    assert Publish.of(text) == expected


@pytest.mark.parametrize("text", ["web", "web:http", ":80", "x:web:80"])
def test_a_published_port_that_is_none_is_told(text):
    with pytest.raises(ValueError, match="is not of the form"):
        Publish.of(text)
