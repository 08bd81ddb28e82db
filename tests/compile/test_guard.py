"""The filters before a workload: which there are, in which order, and that whatever is wrong with them shuts."""

from __future__ import annotations

from typing import Any

import pytest

from pilotpy.compile import policy_rules
from pilotpy.compile.guard import Guard, guard
from pilotpy.compile.listeners import listeners
from pilotpy.engine import Put
from pilotpy.mesh.kinds import KEY_SETS
from pilotpy.mesh.request_authentication import NO_KEYS, wanted_keys
from pilotpy.model.extension_provider import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
    ExtensionProvider,
)
from pilotpy.model.key_set import KeySet
from pilotpy_protos.descriptors import message_in
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import Filter
from pilotpy_protos.envoy.config.rbac.v3.rbac_pb2 import RBAC
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from tests.compile.listening import listened, manager, service
from tests.mesh.world import World, kube_service

ACTION = {RBAC.ALLOW: "ALLOW", RBAC.DENY: "DENY", RBAC.LOG: "AUDIT"}


def policy(name: str, action: str = "ALLOW", rules: str = "[{}]", more: str = "", trial: str = "") -> str:
    annotations = f"annotations: {{istio.io/dry-run: '{trial}'}}" if trial else ""
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: default, {annotations}}}
spec: {{action: {action}, rules: {rules}, {more}}}
"""


def tokens(name: str, *rules: str) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: {name}, namespace: default}}
spec: {{jwtRules: [{", ".join(rules)}]}}
"""


def guarded(world: World) -> Guard:
    return world.engine.ask(guard, world.view("a.default").inbound.policies)


def http(world: World) -> list[HttpFilter]:
    stages = guarded(world).http
    return [HttpFilter.FromString(one) for one in (*stages.custom, *stages.tokens, *stages.rules)]


def tcp(world: World) -> list[Filter]:
    stages = guarded(world).tcp
    return [Filter.FromString(one) for one in (*stages.custom, *stages.rules)]


def enforced(found: HttpFilter | Filter) -> dict[str, Any]:
    return dict(message_in(found.typed_config).rules.policies)


def names(filters: list[Any]) -> list[str]:
    """What each filter is for, in short."""
    short = []
    for one in filters:
        config = message_in(one.typed_config)
        if not one.name.endswith(".rbac"):
            short.append(one.name.rpartition(".")[2])
        elif config.HasField("rules"):
            short.append(ACTION[config.rules.action])
        else:
            short.append(f"trial {config.shadow_rules_stat_prefix}")
    return short


AT = {"service": "b.default.svc.cluster.local", "port": 9}
GRPC = ExtensionProvider(name="asked", envoy_ext_authz_grpc=EnvoyExternalAuthorizationGrpcProvider(**AT))
HTTP = ExtensionProvider(name="asked", envoy_ext_authz_http=EnvoyExternalAuthorizationHttpProvider(**AT))
NO_BODY = EnvoyExternalAuthorizationRequestBody()
CUSTOM = policy("c", "CUSTOM", more="provider: {name: asked}")


def asking(*providers: ExtensionProvider) -> World:
    world = World(CUSTOM, kube_service("default", "b", port=9))
    world.settings(extension_providers=providers)
    return world


def test_filters_stand_in_the_order_in_which_they_decide():
    world = asking(GRPC)
    world.put(policy("a"), policy("d", "DENY"), policy("u", "AUDIT"), tokens("t", "{issuer: i, jwks: '{\"keys\":[]}'}"))
    assert names(http(world)) == ["trial istio_ext_authz_", "ext_authz", "jwt_authn", "AUDIT", "DENY", "ALLOW"]
    assert names(tcp(world)) == ["trial istio_ext_authz_", "ext_authz", "AUDIT", "DENY", "ALLOW"]


def test_filters_stand_where_istio_has_them():
    world = World(policy("a"), service("a", "http:80", "tcp:81"))
    inbound = listened(world, "a.default", LABELS={"app": "a"}, ISTIO_VERSION="1.27.0")["virtualInbound"]
    of_http = ["istio.metadata_exchange", "envoy.filters.http.rbac", "envoy.filters.http.fault"]
    of_tcp = ["istio.metadata_exchange", "envoy.filters.network.rbac", "envoy.filters.network.tcp_proxy"]
    for chain in inbound.filter_chains:
        found = [one.name for one in chain.filters]
        if found[-1].endswith("http_connection_manager"):
            assert [one.name for one in manager(chain).http_filters if one.name in of_http] == of_http
        elif chain.name != "virtualInbound-blackhole":
            assert [one for one in found if one in of_tcp] == of_tcp
        else:
            assert "envoy.filters.network.rbac" not in found


def test_a_workload_without_policies_has_no_guard():
    assert guarded(World()) == Guard()


ONLY_HTTP = '[{to: [{operation: {methods: ["GET"]}}]}]'
HTTP_AND_PORT = '[{to: [{operation: {methods: ["GET"], ports: ["80"]}}]}]'


@pytest.mark.parametrize(
    ("action", "rules", "left"),
    [
        pytest.param("ALLOW", ONLY_HTTP, None, id="an ALLOW about HTTP allows nothing"),
        pytest.param("ALLOW", HTTP_AND_PORT, None, id="an ALLOW about HTTP and a port allows nothing"),
        pytest.param("DENY", ONLY_HTTP, ["any"], id="a DENY about HTTP denies everything"),
        pytest.param("DENY", HTTP_AND_PORT, ["or_rules"], id="a DENY about HTTP and a port denies the port"),
        pytest.param("AUDIT", ONLY_HTTP, ["any"], id="an AUDIT about HTTP is about everything"),
    ],
)
def test_an_opaque_connection_knows_nothing_of_http(action, rules, left):
    (found,) = tcp(World(policy("p", action, rules)))
    assert found.name == "envoy.filters.network.rbac"
    policies = enforced(found)
    if left is None:
        assert policies == {}
        assert message_in(found.typed_config).HasField("rules"), "a filter without rules would allow everything"
    else:
        (only,) = policies.values()
        assert [one.WhichOneof("rule") for one in only.permissions[0].and_rules.rules] == left


@pytest.mark.parametrize("wire", [http, tcp])
@pytest.mark.parametrize(
    ("action", "left"),
    [pytest.param("ALLOW", [], id="an ALLOW loses the rule"), pytest.param("DENY", ["p"], id="a DENY loses the term")],
)
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("{from: [{source: {ipBlocks: [nowhere]}}]}", id="a malformed address"),
        pytest.param("{to: [{operation: {ports: [http]}}]}", id="a malformed port"),
        pytest.param("{when: [{key: source.colour, values: [red]}]}", id="an unknown attribute of peers"),
        pytest.param("{when: [{key: colour, values: [red]}]}", id="an unknown attribute"),
        pytest.param("{when: [{key: source.ip, notValues: [nowhere]}]}", id="a malformed exception"),
    ],
)
def test_what_cannot_be_matched_never_allows_more(rule, action, left, wire):
    world = World(policy("p", action, f"[{rule}]"))
    (found,) = wire(world)
    assert [name.partition("policy[")[2][0] for name in enforced(found)] == left
    notes = world.engine.notes(guard, world.view("a.default").inbound.policies)
    assert {(one.code, one.ref.name) for one in notes} == {("PP0401", "p")}


@pytest.mark.parametrize(
    ("source", "left"),
    [
        pytest.param("ipBlocks: [nowhere, 10.0.0.0/8]", ["any"], id="of two addresses that are denied"),
        pytest.param("notIpBlocks: [nowhere, 10.0.0.0/8]", ["not_id"], id="of two that are not"),
        pytest.param("ipBlocks: [nowhere, 10.0.0.0/8], namespaces: [a]", ["or_ids"], id="beside a namespace"),
    ],
)
def test_a_deny_with_a_value_that_cannot_be_matched_denies_no_less(source, left):
    (found,) = http(World(policy("p", "DENY", f"[{{from: [{{source: {{{source}}}}}]}}]")))
    (only,) = enforced(found).values()
    assert [one.WhichOneof("identifier") for one in only.principals[0].and_ids.ids] == left


def test_a_failure_of_ours_lets_nothing_pass(monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(policy_rules, "read", fail)
    world = World(policy("p", "DENY", ONLY_HTTP))
    for found in (*http(world), *tcp(world)):
        (name,) = enforced(found)
        assert (names([found]), name) == (["DENY"], "deny-due-to-failure")
        assert enforced(found)[name].permissions[0].any
        assert enforced(found)[name].principals[0].any


def bad(**settings: Any) -> ExtensionProvider:
    asked = EnvoyExternalAuthorizationHttpProvider(**{**AT, **settings})
    return ExtensionProvider(name="asked", envoy_ext_authz_http=asked)


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(ExtensionProvider(name="other"), id="nobody has its name"),
        pytest.param(ExtensionProvider(name="asked"), id="it does not authorize"),
        pytest.param(bad(service="c.default.svc.cluster.local"), id="its service is not there"),
        pytest.param(bad(service="bank/b.default.svc.cluster.local"), id="its service is not in that namespace"),
        pytest.param(bad(port=0), id="its port is missing"),
        pytest.param(bad(status_on_error="999"), id="its status is none of HTTP"),
        pytest.param(bad(status_on_error="299"), id="its status is none of Envoy's"),
        pytest.param(bad(path_prefix="x"), id="its path is none"),
        pytest.param(bad(include_additional_headers_in_check={"a": "50%"}), id="it is sent a malformed header"),
        pytest.param(bad(include_additional_headers_in_check={"Host": "a"}), id="it is sent a host of ours"),
        pytest.param(bad(include_request_body_in_check=NO_BODY), id="it is sent no byte of a body"),
    ],
)
def test_nobody_to_ask_is_a_denial(provider):
    world = asking(provider)
    for found in (*http(world), *tcp(world)):
        assert names([found]) == ["DENY"]
        assert list(enforced(found)) == [
            "istio-ext-authz-asked-ns[default]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action"
        ]
    notes = world.engine.notes(guard, world.view("a.default").inbound.policies)
    assert {(one.code, one.field) for one in notes} == {("PP0405", "spec.provider.name")}
    assert all(one.hint for one in notes)


def test_two_providers_for_a_workload_are_a_denial():
    world = asking(GRPC, ExtensionProvider(name="b", envoy_ext_authz_grpc=GRPC.envoy_ext_authz_grpc))
    world.put(policy("d", "CUSTOM", more="provider: {name: b}"))
    assert names(http(world)) == ["DENY", "DENY"]


def test_who_is_asked_over_http_is_not_asked_about_connections():
    world = asking(HTTP)
    assert names(http(world)) == ["trial istio_ext_authz_", "ext_authz"]
    assert names(tcp(world)) == []


def test_who_is_asked_by_namespace_is_found():
    assert names(http(asking(bad(service="default/b.default.svc.cluster.local"))))[-1] == "ext_authz"


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        pytest.param([policy("p", trial="true")], ["trial istio_dry_run_allow_"], id="an ALLOW on trial allows all"),
        pytest.param([policy("p", "DENY", trial="1")], ["trial istio_dry_run_deny_"], id="a DENY on trial denies none"),
        pytest.param([policy("p", trial="false")], ["ALLOW"], id="an ALLOW that is not on trial"),
        pytest.param([policy("p", trial="true"), policy("q")], ["ALLOW"], id="one on trial beside one that is not"),
    ],
)
def test_policies_on_trial_decide_nothing(policies, expected):
    assert names(http(World(*policies))) == expected


KEYS = '{"keys":[{"kty":"oct","k":"AA"}]}'
SOME = '{issuer: a, jwks: \'{"keys":[{"kty":"oct","k":"AA"}]}\'}'
REMOTE = "{issuer: b, jwksUri: https://b/keys}"
DISCOVERED = "{issuer: https://c}"


def jwt(world: World) -> Any:
    (found,) = [one for one in http(world) if one.name == "envoy.filters.http.jwt_authn"]
    return message_in(found.typed_config)


def test_keys_are_wanted_that_policies_do_not_bring():
    world = World(tokens("t", SOME, REMOTE), tokens("u", DISCOVERED, REMOTE))
    assert [str(source) for source in world.engine.ask(wanted_keys)] == ["https://c", "https://b/keys"]


def test_tokens_are_refused_until_there_are_keys_and_after():
    world = World(tokens("t", REMOTE))
    (source,) = world.engine.ask(wanted_keys)

    def state() -> tuple[str, list[str]]:
        keys = jwt(world).providers["origins-0"].local_jwks.inline_string
        notes = world.engine.notes(guard, world.view("a.default").inbound.policies)
        return keys, [f"{one.severity.value} {one.field}" for one in notes]

    assert state() == (NO_KEYS, ["Info spec.jwtRules[0].jwksUri"])
    world.engine.apply([Put(KEY_SETS, (source,), KeySet("", "no connection"))])
    assert state() == (NO_KEYS, ["Error spec.jwtRules[0].jwksUri"])
    world.engine.apply([Put(KEY_SETS, (source,), KeySet(KEYS, ""))])
    assert state() == (KEYS, [])
    world.engine.apply([Put(KEY_SETS, (source,), KeySet(KEYS, "no connection"))])
    assert state() == (KEYS, ["Warning spec.jwtRules[0].jwksUri"])


def test_rules_for_tokens_are_numbered_by_issuer_over_all_policies():
    found = jwt(World(tokens("t", REMOTE), tokens("u", SOME, DISCOVERED)))
    assert [found.providers[f"origins-{i}"].issuer for i in range(3)] == ["a", "b", "https://c"]


def test_a_token_has_to_satisfy_somebody_and_may_be_missing():
    either = jwt(World(tokens("t", SOME, REMOTE))).rules[0].requires.requires_any.requirements
    assert [one.provider_name for one in either] == ["origins-0", "origins-1", ""]
    assert [one.requires_any.requirements[0].provider_name for one in either[2].requires_all.requirements] == [
        "origins-0",
        "origins-1",
    ]
    alone = jwt(World(tokens("t", SOME))).rules[0].requires.requires_any.requirements
    assert (alone[0].provider_name, alone[1].WhichOneof("requires_type")) == ("origins-0", "allow_missing")


def test_every_field_of_a_rule_for_tokens_is_read():
    rule = """{issuer: a, audiences: [v, w], jwks: '{"keys":[{"kty":"oct","k":"AA"}]}',
      fromHeaders: [{name: H, prefix: "P "}], fromParams: [q], fromCookies: [c], outputPayloadToHeader: out,
      forwardOriginalToken: true, outputClaimToHeaders: [{header: h, claim: s}], spaceDelimitedClaims: [roles]}"""
    found = jwt(World(tokens("t", rule))).providers["origins-0"]
    assert list(found.audiences) == ["v", "w"]
    assert [(one.name, one.value_prefix) for one in found.from_headers] == [("H", "P ")]
    assert (list(found.from_params), list(found.from_cookies)) == (["q"], ["c"])
    assert (found.forward_payload_header, found.forward, found.payload_in_metadata) == ("out", True, "payload")
    assert [(one.header_name, one.claim_name) for one in found.claim_to_headers] == [("h", "s")]
    assert list(found.normalize_payload_in_metadata.space_delimited_claims) == ["permission", "roles", "scope"]


def test_headers_that_envoy_would_refuse_are_left_out():
    rule = r"""{issuer: a, jwks: '{"keys":[{"kty":"oct","k":"AA"}]}', outputPayloadToHeader: "a\nb",
      fromHeaders: [{name: "a\nb"}, {name: a, prefix: "\0"}, {name: c}],
      outputClaimToHeaders: [{header: "a\rb", claim: s}]}"""
    world = World(tokens("t", rule))
    found = jwt(world).providers["origins-0"]
    assert [one.name for one in found.from_headers] == ["c"]
    assert (found.forward_payload_header, list(found.claim_to_headers)) == ("", [])
    notes = world.engine.notes(guard, world.view("a.default").inbound.policies)
    assert [one.field.removeprefix("spec.jwtRules[0].") for one in notes] == [
        "fromHeaders[0]",
        "fromHeaders[1]",
        "outputPayloadToHeader",
        "outputClaimToHeaders[0]",
    ]


def test_what_is_lost_on_an_opaque_port_is_told():
    world = asking(HTTP)
    world.put(policy("p", "DENY", HTTP_AND_PORT), service("a", "http:80", "tcp:81:9000"))
    view = world.view("a.default", LABELS={"app": "a"})
    notes = world.engine.notes(listeners, view.scope, view.inbound, view.features, view.listening)
    told = {(one.ref.name, one.field, one.severity.value) for one in notes if getattr(one, "code", "") == "PP0403"}
    assert told == {
        ("p", "spec.rules[0].to[0].operation.methods", "Warning"),
        ("c", "spec.provider.name", "Error"),
    }


def test_a_strange_trust_domain_is_told():
    world = World(policy("p", rules='[{from: [{source: {principals: ["a/ns/b/sa/c", "cluster.local/ns/b/sa/c"]}}]}]'))
    world.settings(trust_domain="td")
    notes = world.engine.notes(guard, world.view("a.default").inbound.policies)
    assert {(one.code, one.field) for one in notes} == {("PP0402", "spec.rules[0].from[0].source.principals")}


def test_workloads_share_the_rules_of_a_policy():
    world = World(policy("p"), policy("q", more="selector: {matchLabels: {app: a}}"))
    ask = world.engine.ask
    both, one = (world.view(f"{app}.default", LABELS={"app": app}).inbound.policies for app in ("a", "b"))
    ask(guard, both)
    before = world.engine.work.copy()
    ask(guard, one)
    assert (len(both), len(one)) == (2, 1)
    assert world.engine.work.since(before).runs == 1
