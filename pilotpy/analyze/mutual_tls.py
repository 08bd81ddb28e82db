"""What is doubtful about mutual TLS: policies that reach nobody, peers that cannot speak it, identities nobody has.

From PeerAuthentications and the ``tls`` of DestinationRules, with the Pods and endpoints that they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from pilotpy.analyze.injection import is_undecided
from pilotpy.analyze.pods import pods_anywhere, spelled
from pilotpy.engine import Asking, Index, query
from pilotpy.mesh.config import root_namespace
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.hosts import whole
from pilotpy.mesh.identities import identities, trust_domain_of, trust_domains
from pilotpy.mesh.kinds import DESTINATION_RULES, PEER_AUTHENTICATIONS, PODS
from pilotpy.mesh.mtls import PEER_POLICIES, namespace_mode, policy_selector, workload_modes
from pilotpy.mesh.service import ServiceKey
from pilotpy.mesh.services import service, services_within
from pilotpy.mesh.view import Mode
from pilotpy.mesh.workloads import MUTUAL, PODS_BY_ADDRESS, Workload, pod_workload, selects
from pilotpy.model.destination_rule import ClientTLSSettings, DestinationRule
from pilotpy.model.peer_authentication import PeerAuthentication
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource, Severity

_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
_NAMED = 3  # of many objects, so many are named


def _bare(pod: Resource[Pod]) -> Iterable[str]:
    return () if pod.meta.labels.get("security.istio.io/tlsMode") == MUTUAL else (pod.ref.namespace,)


PODS_WITHOUT_PROXY = Index(PODS, _bare, "pods that take no mutual TLS, by namespace")


@query
def reach_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a policy holds for nobody: it selects no Pod, or another one comes before it."""
    policy = q.get(PEER_AUTHENTICATIONS, ref.namespace, ref.name)
    if policy is None:
        return ()
    selector = policy_selector(policy)
    root = ref.namespace == q(root_namespace)
    if selector and root:
        message = "A policy of the root namespace that selects workloads holds for none"
        return (_warning("PP0441", ref, "spec.selector", message, "write it in the namespace of the workloads"),)
    rivals = [one for one in q.by(PEER_POLICIES, (ref.namespace, bool(selector))) if policy_selector(one) == selector]
    first = min(rivals, key=lambda one: one.age_order)
    if first.ref != ref:
        whom = f"the workloads {spelled(selector)}" if selector else "the mesh" if root else "the namespace"
        message = f"{first.ref} is older and holds for {whom}; this policy holds for nobody"
        return (_warning("PP0442", ref, "spec.mtls" if policy.spec.mtls else "", message, "keep one of the two"),)
    if selector and not any(one.namespace == ref.namespace for one in q(pods_anywhere, selector)):
        message = f"No matching workloads for this resource with the following labels: {spelled(selector)}"
        return (_warning("IST0127", ref, "spec.selector.matchLabels", message, "Name labels that Pods have"),)
    return ()


@query
def strict_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return findings about Pods without a proxy where a policy insists on mutual TLS: its servers, and its clients."""
    policy = q.get(PEER_AUTHENTICATIONS, ref.namespace, ref.name)
    if policy is None or not _is_strict(policy.spec):
        return ()
    selector = policy_selector(policy)
    everywhere = ref.namespace == q(root_namespace)
    if everywhere and selector:
        return ()
    bare = _without_proxy(q)
    held = [one for one in bare if (everywhere or one.namespace == ref.namespace) and selects(selector, one.labels)]
    clients = [one for one in bare if one not in held] if not everywhere else []
    found = []
    if held:
        message = f"{_listed(held)} {_have(held)} no proxy: nothing there insists on mutual TLS, nor speaks it"
        found.append(_warning("PP0443", ref, _strict_field(policy.spec), message, _INJECT))
    if clients:
        message = f"{_listed(clients)} {_have(clients)} no proxy: what they send here in plaintext is refused"
        found.append(_warning("PP0444", ref, _strict_field(policy.spec), message, f"{_INJECT}, or use PERMISSIVE"))
    return tuple(found)


@query
def peer_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return findings about rules whose TLS is not what the servers speak, or whose servers nobody can be."""
    rule = q.get(DESTINATION_RULES, ref.namespace, ref.name)
    if rule is None:
        return ()
    found: list[Finding] = []
    written = [one for one in _tls(rule.spec) if one[1].mode in {"ISTIO_MUTUAL", "DISABLE"}]
    keys = services_within(q, whole(rule.spec.host, ref.namespace), ref.namespace) if written else []
    for path, tls in written:
        foreign: list[Finding] = []
        if tls.mode == "ISTIO_MUTUAL":
            foreign = list(_foreign(q, ref, f"{path}.subjectAltNames", tls.subject_alt_names))
            found += foreign
        for key in keys:
            if tls.mode == "ISTIO_MUTUAL" and not foreign:
                found += q(name_doubts, ref, f"{path}.subjectAltNames", key, tls.subject_alt_names)
            found += q(mode_doubts, ref, path, key, tls.mode)
    return tuple(found)


@query
def mode_doubts(q: Asking, ref: Ref, path: str, key: ServiceKey, asked: str) -> tuple[Finding, ...]:
    """Return a finding if a service's endpoints do not speak what a rule asks for: ISTIO_MUTUAL, or DISABLE."""
    mutual = asked == "ISTIO_MUTUAL"
    found = q(service, key)
    mode = q(namespace_mode, key.namespace)
    if found is None or found.mesh_external or q(workload_modes, key.namespace):
        return ()
    field = f"{path}.mode"
    if mutual and mode is Mode.DISABLE:
        message = f"Workloads of namespace {key.namespace} take plaintext only: mutual TLS to {key.host} fails"
        return (_warning("PP0445", ref, field, message, "write DISABLE, or PERMISSIVE in their PeerAuthentication"),)
    if not mutual and mode is Mode.STRICT:
        message = f"Workloads of namespace {key.namespace} take mutual TLS only: plaintext to {key.host} is refused"
        return (_warning("PP0445", ref, field, message, "leave tls out: clients then speak what servers take"),)
    plain = {one.address for port in found.ports for one in q(endpoints, key, port.name) if one.tls_mode != MUTUAL}
    bare = sorted(address for address in plain if not _undecided_at(q, address))
    if mutual and bare:
        message = f"Endpoints of {key.host} have no proxy ({_some(bare)}): mutual TLS to them fails"
        return (
            _warning("PP0446", ref, field, message, f"{_INJECT}, or leave tls out: clients then speak what each takes"),
        )
    return ()


@query
def name_doubts(q: Asking, ref: Ref, field: str, key: ServiceKey, names: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return a finding if nobody who serves a service has one of the names that a rule wants of them."""
    shown = q(identities, key)
    if not names or not shown or set(names) & set(shown):
        return ()
    message = f"No server of {key.host} has one of these names: its servers are {_some(list(shown))}; requests get 503"
    return (_warning("PP0448", ref, field, message, "name those, or leave subjectAltNames out"),)


_INJECT = "Inject a proxy into them"


def _foreign(q: Asking, ref: Ref, path: str, names: tuple[str, ...]) -> Iterator[Finding]:
    known = q(trust_domains)
    for index, name in enumerate(names):
        domain = trust_domain_of(name)
        if domain and domain not in known:
            message = f"Nobody is known to have the identity {name}: the mesh trusts {', '.join(known)}"
            yield _warning(
                "PP0447", ref, f"{path}[{index}]", message, f"add {domain} to trustDomainAliases, or mend it"
            )


def _tls(rule: DestinationRule) -> Iterator[tuple[str, ClientTLSSettings]]:
    policies = [
        ("spec.trafficPolicy", rule.traffic_policy),
        *((f"spec.subsets[{index}].trafficPolicy", one.traffic_policy) for index, one in enumerate(rule.subsets)),
    ]
    for path, policy in policies:
        if policy is not None and policy.tls is not None:
            yield f"{path}.tls", policy.tls


def _is_strict(policy: PeerAuthentication) -> bool:
    written = (policy.mtls, *policy.port_level_mtls.values())
    return any(one is not None and one.mode == "STRICT" for one in written)


def _strict_field(policy: PeerAuthentication) -> str:
    if policy.mtls is not None and policy.mtls.mode == "STRICT":
        return "spec.mtls.mode"
    return "spec.portLevelMtls"


def _without_proxy(q: Asking) -> list[Workload]:
    """Pods that clients or policies may be about and that have no proxy, sorted; not those of the cluster itself.

    Those of which nobody says yet whether they will have one are not among them.
    """
    spaces = cast("tuple[str, ...]", q.buckets(PODS_WITHOUT_PROXY))
    others = sorted(set(spaces) - _SYSTEM - {q(root_namespace)})
    keys = sorted(cast("tuple[str, str]", key) for one in others for key in q.keys(PODS_WITHOUT_PROXY, one))
    return [found for key in keys if not q(is_undecided, *key) and (found := q(pod_workload, *key))]


def _undecided_at(q: Asking, address: str) -> bool:
    return any(q(is_undecided, pod.ref.namespace, pod.ref.name) for pod in q.by(PODS_BY_ADDRESS, address))


def _listed(pods: list[Workload]) -> str:
    names = [f"{one.name}.{one.namespace}" for one in pods]
    return f"Pod {names[0]}" if len(names) == 1 else f"{len(names)} Pods ({_some(names)})"


def _have(pods: list[Workload]) -> str:
    return "has" if len(pods) == 1 else "have"


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _warning(code: str, ref: Ref, field: str, message: str, hint: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, message=message, ref=ref, field=field, hint=hint)
