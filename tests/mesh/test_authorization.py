"""Which policies guard a workload."""

import pytest

from pilotpy.model.resource import Ref
from tests.mesh.world import World

LABELS = {"app": "a", "tier": "front"}


def policy(name, namespace="shop", spec="{}", kind="AuthorizationPolicy", created=1):
    return f"""
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "2024-01-01T00:00:0{created}Z"}}
spec: {spec}
"""


def guards(*written):
    view = World(*written).view("a-1.shop", LABELS=LABELS)
    return [ref.name for ref in view.inbound.policies]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param([], [], id="no policy"),
        pytest.param([policy("p")], ["p"], id="one for the whole namespace"),
        pytest.param([policy("p", "istio-system")], ["p"], id="one for the whole mesh"),
        pytest.param([policy("p", "bank")], [], id="one of another namespace"),
        pytest.param([policy("p", spec="{selector: {matchLabels: {app: a}}}")], ["p"], id="one that selects it"),
        pytest.param([policy("p", spec="{selector: {matchLabels: {}}}")], ["p"], id="one that selects all"),
        pytest.param(
            [policy("p", spec="{selector: {matchLabels: {app: a, tier: back}}}")], [], id="one that selects others"
        ),
        pytest.param(
            [policy("p", "istio-system", "{selector: {matchLabels: {app: a}}}")],
            ["p"],
            id="one of the root namespace that selects it",
        ),
        pytest.param(
            [policy("p", spec="{targetRefs: [{kind: Service, name: a}]}")], [], id="one that goes by name to a service"
        ),
        pytest.param(
            [policy("b", created=1), policy("a", created=2), policy("c", "istio-system", created=0)],
            ["c", "b", "a"],
            id="several, oldest first",
        ),
        pytest.param(
            [policy("a"), policy("t", kind="RequestAuthentication", created=9)],
            ["t", "a"],
            id="rules for tokens, then for everything",
        ),
    ],
)
def test_policies_guard_a_workload(written, expected):
    assert guards(*written) == expected


def test_an_edit_of_a_rule_moves_no_view():
    world = World(policy("p"))
    before = world.view("a-1.shop", LABELS=LABELS)
    world.put(policy("p", spec='{rules: [{to: [{operation: {methods: ["GET"]}}]}]}'))
    assert world.view("a-1.shop", LABELS=LABELS) == before


def test_replicas_and_workloads_with_the_same_policies_share_a_guard():
    world = World(policy("p"), policy("q", spec="{selector: {matchLabels: {app: c}}}"))
    found = [world.view(f"{app}-1.shop", LABELS={"app": app}).inbound.policies for app in ("a", "b")]
    assert found == [(Ref("AuthorizationPolicy", "shop", "p"),)] * 2
