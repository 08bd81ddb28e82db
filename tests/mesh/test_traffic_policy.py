"""DestinationRules merged, and what they say of a port or a subset."""

import pytest

from pilotpy.mesh.traffic_policy import NO_RULE, traffic_rule
from pilotpy.model.resource import Finding, Ref
from tests.mesh.world import World


def rule(name: str, spec: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: default}}
spec: {{host: reviews, {spec}}}
"""


def merged(*specs: str):
    names = [chr(ord("a") + index) for index in range(len(specs))]
    world = World(*(rule(name, spec) for name, spec in zip(names, specs, strict=True)))
    refs = tuple(Ref("DestinationRule", "default", name) for name in names)
    notes = [note for note in world.engine.notes(traffic_rule, refs) if isinstance(note, Finding)]
    return world.engine.ask(traffic_rule, refs), [(note.code, note.ref and note.ref.name, note.field) for note in notes]


def connections(policy):
    return policy.connection_pool and policy.connection_pool.tcp and policy.connection_pool.tcp.max_connections


def pool(limit: int) -> str:
    return f"connectionPool: {{tcp: {{maxConnections: {limit}}}}}"


def test_no_rules_and_rules_that_are_gone_are_no_rule():
    world = World()
    assert world.engine.ask(traffic_rule, ()) == NO_RULE
    assert world.engine.ask(traffic_rule, (Ref("DestinationRule", "default", "gone"),)) == NO_RULE


def test_the_first_top_level_policy_holds_whole():
    found, notes = merged(
        "subsets: [{name: v1}]", f"trafficPolicy: {{{pool(1)}}}", "trafficPolicy: {outlierDetection: {}}"
    )
    assert connections(found.policy(80)) == 1
    assert found.policy(80).outlier_detection is None
    assert found.ref.name == "a"
    assert notes == [("PP0302", "c", "spec.trafficPolicy")]


def test_subsets_come_together_and_the_first_of_a_name_holds():
    found, notes = merged(
        f"subsets: [{{name: v1, trafficPolicy: {{{pool(1)}}}}}]",
        f"subsets: [{{name: v2}}, {{name: v1, trafficPolicy: {{{pool(2)}}}}}]",
    )
    assert [subset.name for subset in found.subsets] == ["v1", "v2"]
    assert connections(found.policy(80, "v1")) == 1
    assert notes == [("PP0301", "b", "spec.subsets[1].name")]


def test_a_subset_written_twice_in_one_rule_is_said_too():
    found, notes = merged("subsets: [{name: v1}, {name: v1}]")
    assert len(found.subsets) == 1
    assert notes == [("PP0301", "a", "spec.subsets[1].name")]


@pytest.mark.parametrize(
    ("subset_policy", "port", "limit", "detects"),
    [
        pytest.param("null", 80, 1, True, id="a subset without a policy has the rule's"),
        pytest.param(f"{{{pool(2)}}}", 80, 2, True, id="a block replaces a block"),
        pytest.param(f"{{{pool(2)}}}", 81, 2, False, id="over the rule's own policy for the port"),
        pytest.param("null", 81, 7, False, id="which inherits nothing"),
        pytest.param(
            f"{{{pool(2)}, portLevelSettings: [{{port: {{number: 80}}, {pool(3)}}}]}}",
            80,
            3,
            False,
            id="a subset's port replaces every block, also with nothing",
        ),
        pytest.param(
            f"{{{pool(2)}, portLevelSettings: [{{port: {{number: 80}}, {pool(3)}}}]}}",
            82,
            2,
            True,
            id="on its port alone",
        ),
    ],
)
def test_the_policy_of_a_subset(subset_policy, port, limit, detects):
    ports = f"portLevelSettings: [{{port: {{number: 81}}, {pool(7)}}}]"
    found, _ = merged(
        f"trafficPolicy: {{{pool(1)}, outlierDetection: {{}}, retryBudget: {{percent: 5}}, {ports}}}, "
        f"subsets: [{{name: v1, trafficPolicy: {subset_policy}}}]"
    )
    policy = found.policy(port, "v1")
    assert connections(policy) == limit
    assert (policy.outlier_detection is not None) is detects
    assert not policy.port_level_settings
    assert found.policy(80, "nobody's") == found.policy(80)


def test_what_only_the_whole_rule_can_say_holds_for_subsets_on_their_ports_too():
    found, _ = merged(
        "trafficPolicy: {proxyProtocol: {version: V2}}, "
        f"subsets: [{{name: v1, trafficPolicy: {{portLevelSettings: [{{port: {{number: 80}}, {pool(3)}}}]}}}}]"
    )
    assert found.policy(80, "v1").proxy_protocol is not None


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        pytest.param("loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}", "loadBalancer.warmup", id="warm-up"),
        pytest.param(
            "outlierDetection: {consecutiveErrors: 3}", "outlierDetection.consecutiveErrors", id="a field of old"
        ),
        pytest.param(
            "outlierDetection: {consecutiveLocalOriginFailures: 3}",
            "outlierDetection.consecutiveLocalOriginFailures",
            id="failures that are not counted apart",
        ),
    ],
)
def test_what_does_nothing_is_said(policy, field):
    assert merged(f"trafficPolicy: {{{policy}}}")[1] == [("PP0303", "a", f"spec.trafficPolicy.{field}")]
    below = merged(f"subsets: [{{name: v1, trafficPolicy: {{{policy}}}}}]")
    assert below[1] == [("PP0303", "a", f"spec.subsets[0].trafficPolicy.{field}")]


def test_a_credential_is_for_selected_workloads():
    tls = "trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"
    assert merged(tls)[1] == [("PP0303", "a", "spec.trafficPolicy.tls.credentialName")]
    assert merged(f"workloadSelector: {{matchLabels: {{app: a}}}}, {tls}")[1] == []


def test_a_budgets_interval_is_not_compiled():
    budget = "trafficPolicy: {retryBudget: {percent: 5, budgetInterval: 10s}}"
    assert merged(budget)[1] == [("PP0008", "a", "spec.trafficPolicy.retryBudget.budgetInterval")]
