"""What is doubtful about annotations: unknown ones, on the wrong kind of object, deprecated, or with values of no use.

Source: istio/api annotation/annotations.yaml (names, kinds), istio/istio pkg/kube/inject/validate.go (values).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Final

from pilotpy.analyze.image_types import CONFIG, annotated
from pilotpy.analyze.kinds import KIND_OF
from pilotpy.engine import Asking, query
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.schema.paths import below

_KNOWN: Final[Mapping[str, str]] = {
    "Pod": """
        prometheus.istio.io/merge-metrics sidecar.istio.io/inject sidecar.istio.io/rewriteAppHTTPProbers
        sidecar.istio.io/discoveryAddress sidecar.istio.io/proxyImage sidecar.istio.io/proxyImageType
        sidecar.istio.io/proxyCPU sidecar.istio.io/proxyCPULimit sidecar.istio.io/proxyMemory
        sidecar.istio.io/proxyMemoryLimit sidecar.istio.io/interceptionMode sidecar.istio.io/bootstrapOverride
        sidecar.istio.io/statsInclusionPrefixes sidecar.istio.io/statsInclusionSuffixes
        sidecar.istio.io/statsInclusionRegexps sidecar.istio.io/statsHistogramBuckets
        sidecar.istio.io/statsFlushInterval sidecar.istio.io/statsEvictionInterval
        sidecar.istio.io/statsHistogramBins sidecar.istio.io/statsCompression sidecar.istio.io/extraStatTags
        sidecar.istio.io/userVolume sidecar.istio.io/userVolumeMount sidecar.istio.io/logLevel
        sidecar.istio.io/componentLogLevel sidecar.istio.io/agentLogLevel sidecar.istio.io/nativeSidecar
        status.sidecar.istio.io/port readiness.status.sidecar.istio.io/initialDelaySeconds
        readiness.status.sidecar.istio.io/periodSeconds readiness.status.sidecar.istio.io/failureThreshold
        readiness.status.sidecar.istio.io/applicationPorts traffic.sidecar.istio.io/includeOutboundIPRanges
        traffic.sidecar.istio.io/excludeOutboundIPRanges traffic.sidecar.istio.io/includeInboundPorts
        traffic.sidecar.istio.io/excludeInboundPorts traffic.sidecar.istio.io/excludeInterfaces
        traffic.sidecar.istio.io/includeOutboundPorts traffic.sidecar.istio.io/excludeOutboundPorts
        traffic.sidecar.istio.io/kubevirtInterfaces proxy.istio.io/config proxy.istio.io/overrides
        inject.istio.io/templates ambient.istio.io/redirection ambient.istio.io/bypass-inbound-capture
        ambient.istio.io/dns-capture istio.io/reroute-virtual-interfaces
    """,
    "Service": """
        alpha.istio.io/kubernetes-serviceaccounts alpha.istio.io/canonical-serviceaccounts
        networking.istio.io/exportTo traffic.istio.io/nodeSelector networking.istio.io/traffic-distribution
        istio.io/use-waypoint-canary-weight
    """,
    "ServiceEntry": "networking.istio.io/traffic-distribution istio.io/use-waypoint-canary-weight",
    "Namespace": """
        topology.istio.io/controlPlaneClusters networking.istio.io/traffic-distribution
        istio.io/use-waypoint-canary-weight
    """,
    "Ingress": "kubernetes.io/ingress.class",
    "AuthorizationPolicy": "istio.io/dry-run",
    "WorkloadEntry": """
        istio.io/autoRegistrationGroup istio.io/workloadController istio.io/connectedAt istio.io/disconnectedAt
    """,
    "GatewayClass": "ambient.istio.io/waypoint-inbound-binding",
    "Gateway": """
        ambient.istio.io/waypoint-inbound-binding gateway.istio.io/service-account gateway.istio.io/name-override
        networking.istio.io/service-type
    """,
}
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(sorted(kind for kind, names in _KNOWN.items() if name in names.split()))
    for listed in _KNOWN.values()
    for name in listed.split()
}
"""The kinds that each of Istio's annotations is for."""

_ANYWHERE: Final = frozenset({"galley.istio.io/analyze-suppress"})
_MADE: Final = frozenset({"sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"})

_INJECT: Final = "sidecar.istio.io/inject"
_DEPRECATED: Final = frozenset(
    {
        "alpha.istio.io/kubernetes-serviceaccounts",
        "alpha.istio.io/canonical-serviceaccounts",
        _INJECT,
        "sidecar.istio.io/discoveryAddress",
        "sidecar.istio.io/statsInclusionPrefixes",
        "sidecar.istio.io/statsInclusionSuffixes",
        "sidecar.istio.io/statsInclusionRegexps",
        "sidecar.istio.io/statsCompression",
        "sidecar.istio.io/extraStatTags",
        "traffic.sidecar.istio.io/kubevirtInterfaces",
    }
)
_INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-]{0,14}")
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


@query
def annotation_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each of Istio's annotations on an object that does not do what it seems to."""
    found = q.get(KIND_OF[ref.kind], ref.namespace, ref.name)
    if found is None:
        return ()
    written = found.meta.annotations
    return tuple(
        doubt
        for name in sorted(written)
        for doubt in _doubts(ref, name, written[name], replaced=_INJECT in found.meta.labels)
    )


def _doubts(ref: Ref, name: str, value: str, *, replaced: bool) -> Iterator[Finding]:
    if not (name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith("istio.io")):
        return
    if name in _ANYWHERE or name in _MADE:
        return
    kinds = KINDS.get(name)
    if kinds is None:
        yield _unknown(ref, name)
        return
    if name in _DEPRECATED and not (name == _INJECT and replaced):
        yield _deprecated(ref, name)
    if ref.kind not in kinds:
        yield _misplaced(ref, name, kinds)
    elif name in _VALUES and not _VALUES[name](value):
        yield _invalid(ref, name, value)


def _ranges(value: str) -> bool:
    try:
        return all("/" in one and ip_network(one, strict=False) for one in value.split(",")) if value else True
    except ValueError:
        return False


def _ports(value: str) -> bool:
    listed = value.strip()
    return not listed or all(_number(one.strip(), 65535) for one in listed.split(","))


def _number(value: str, most: int = 2**32 - 1) -> bool:
    return value.isascii() and value.isdigit() and int(value) <= most


def _truth(value: str) -> bool:
    return value in {"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"}


def _quantity(value: str) -> bool:
    return _QUANTITY.fullmatch(value) is not None


def _interfaces(value: str) -> bool:
    return not value or all(_INTERFACE.fullmatch(one.strip()) for one in value.split(","))


def _settings(value: str) -> bool:
    return annotated(value) is not None


_VALUES: Final[Mapping[str, Callable[[str], bool]]] = {
    "sidecar.istio.io/interceptionMode": lambda value: value in {"REDIRECT", "TPROXY", "NONE"},
    "status.sidecar.istio.io/port": lambda value: _number(value.strip(), 65535),
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _number,
    "readiness.status.sidecar.istio.io/periodSeconds": _number,
    "readiness.status.sidecar.istio.io/failureThreshold": _number,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": lambda value: value == "*" or _ranges(value),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeInboundPorts": lambda value: value == "*" or _ports(value),
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeInterfaces": _interfaces,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _interfaces,
    "istio.io/reroute-virtual-interfaces": _interfaces,
    "prometheus.istio.io/merge-metrics": _truth,
    CONFIG: _settings,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
}


def _field(name: str) -> str:
    return below("metadata.annotations", name)


def _unknown(ref: Ref, name: str) -> Finding:
    return Finding(
        code="IST0108",
        severity=Severity.WARNING,
        message=f"Unknown annotation: {name}",
        ref=ref,
        field=_field(name),
        hint="Check its spelling; Istio's annotations are listed at istio.io/docs/reference/config/annotations",
    )


def _misplaced(ref: Ref, name: str, kinds: tuple[str, ...]) -> Finding:
    return Finding(
        code="IST0107",
        severity=Severity.WARNING,
        message=f"Misplaced annotation: {name} can only be applied to {', '.join(kinds)}",
        ref=ref,
        field=_field(name),
        hint="Write it under spec.template.metadata"
        if ref.kind == "Deployment" and "Pod" in kinds
        else "Move it there",
    )


def _deprecated(ref: Ref, name: str) -> Finding:
    instead = ' in favor of the "sidecar.istio.io/inject" label' if name == _INJECT else ""
    return Finding(
        code="IST0135",
        severity=Severity.INFO,
        message=f'Annotation "{name}" has been deprecated{instead} and may not work in future Istio versions',
        ref=ref,
        field=_field(name),
        hint="Use the label of that name" if instead else "Take it out",
    )


def _invalid(ref: Ref, name: str, value: str) -> Finding:
    return Finding(
        code="IST0125",
        severity=Severity.WARNING,
        message=f"Invalid annotation {name}: {value!r} is not a value of it",
        ref=ref,
        field=_field(name),
        hint="See istio.io/docs/reference/config/annotations for its values",
    )
