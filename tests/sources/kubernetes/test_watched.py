"""Which collections are watched, where people want fewer than all."""

import pytest

from pilotpy.ops.settings import Settings
from pilotpy.sources.kubernetes.collection import COLLECTIONS
from pilotpy.sources.kubernetes.watched import watched


def names(**environment) -> set[str]:
    return {one.name for one in watched(COLLECTIONS, Settings.of(environment))}


@pytest.mark.parametrize(
    ("environment", "left_out"),
    [
        pytest.param({}, set(), id="none"),
        pytest.param(
            {"PILOT_IGNORE_RESOURCES": "sidecars.networking.istio.io"}, {"sidecars.networking.istio.io"}, id="one"
        ),
        pytest.param(
            {"PILOT_IGNORE_RESOURCES": "*.telemetry.istio.io, wasmplugins.extensions.istio.io"},
            {"telemetries.telemetry.istio.io", "wasmplugins.extensions.istio.io"},
            id="a group and one",
        ),
        pytest.param(
            {
                "PILOT_IGNORE_RESOURCES": "*.security.istio.io",
                "PILOT_INCLUDE_RESOURCES": "authorizationpolicies.security.istio.io",
            },
            {"peerauthentications.security.istio.io", "requestauthentications.security.istio.io"},
            id="all of a group but one",
        ),
        pytest.param({"PILOT_IGNORE_RESOURCES": "pods"}, set(), id="none of Kubernetes' own"),
    ],
)
def test_resources_are_left_out(environment, left_out):
    assert names() - names(**environment) == left_out


@pytest.mark.parametrize(
    ("kind", "namespaces"),
    [
        pytest.param("Service", ["shop"], id="what is of a namespace: of that one"),
        pytest.param("Node", [""], id="what is of none: all"),
        pytest.param("ConfigMap", ["shop", "istio-system"], id="settings where they are, too"),
    ],
)
def test_a_namespace_stands_for_all(kind, namespaces):
    found = watched(COLLECTIONS, Settings(watched_namespace="shop"))
    assert [one.namespace for one in found if one.kind == kind] == namespaces


def test_the_systems_own_namespace_is_watched_once():
    found = watched(COLLECTIONS, Settings(watched_namespace="istio-system"))
    assert len(found) == len(COLLECTIONS)
