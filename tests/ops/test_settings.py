"""Settings from the environment, under istiod's names."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pilotpy.ops.settings import Settings, Wrong, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), (".5s", 0.5), ("250us", 0.00025)],
)
def test_durations_as_go_writes_them(text, seconds):
    assert span(text, "X") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "100", "1 s", "1x", "s", "1s-2s"])
def test_what_is_no_duration_is_refused_by_name(text):
    with pytest.raises(Wrong, match=r"^X: "):
        span(text, "X")


def test_istiods_variables_are_read_and_empty_ones_ignored():
    environment = {"PILOT_DEBOUNCE_AFTER": "1s", "PILOT_PUSH_THROTTLE": "7", "PILOT_DEBOUNCE_MAX": "", "HOME": "/"}
    assert Settings.of(environment) == Settings(debounce_after=timedelta(seconds=1), large_pushes=7)


def test_what_other_clusters_may_say_is_a_setting():
    found = Settings.of({"PILOTPY_REMOTE_CLUSTER_OBJECTS": "7", "PILOTPY_REMOTE_CLUSTER_BYTES": "70000"})
    assert (found.remote_cluster_objects, found.remote_cluster_bytes) == (7, 70000)


def test_patience_with_other_clusters_is_a_setting():
    assert Settings.of({"PILOT_REMOTE_CLUSTER_TIMEOUT": "5s"}).remote_cluster_patience == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        pytest.param("PILOT_ENABLE_STATUS", True, id="a switch that is not there"),
        pytest.param("PILOT_DEBOUNCE_AFTER", False, id="one that is read"),
        pytest.param("PILOT_IGNORE_RESOURCES", False, id="a list that is read"),
        pytest.param("PILOT_SERVICE_HOST", False, id="what Kubernetes says of a Service"),
        pytest.param("PILOT_PORT_15010_TCP_ADDR", False, id="and of a port of one"),
        pytest.param("PILOTS", False, id="somebody else's"),
    ],
)
def test_variables_of_istiods_that_say_nothing_are_told(name, unread):
    assert Settings.of({name: "1s"}).unread == ((name,) if unread else ())


def test_an_instance_bears_the_name_of_its_pod():
    assert Settings.of({"POD_NAME": "istiod-5d8"}).instance == "istiod-5d8"


def test_trusted_namespaces_are_parted_by_commas():
    settings = Settings.of({"DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES": "kiali, monitoring,"})
    assert settings.debug_namespaces == ("kiali", "monitoring")


def test_a_number_that_is_none_is_refused_by_name():
    with pytest.raises(Wrong, match="PILOT_MAX_REQUESTS_PER_SECOND"):
        Settings.of({"PILOT_MAX_REQUESTS_PER_SECOND": "many"})
