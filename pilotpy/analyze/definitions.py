"""What is doubtful about CustomResourceDefinitions: kinds that are no more, and Gateway API that is too old.

Source: istio/istio pkg/config/schema/gatewayapi/minimumversions.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pilotpy.analyze.kinds import DEFINITIONS
from pilotpy.engine import Asking, query
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.schema.codes import DEPRECATED
from pilotpy.schema.paths import below

_GONE: Final = {
    ("rbac.istio.io", kind) for kind in ("ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding")
}
_OLDEST: Final[Mapping[str, tuple[int, int, int]]] = {
    "grpcroutes.gateway.networking.k8s.io": (1, 1, 0),
    "backendtlspolicies.gateway.networking.k8s.io": (1, 4, 0),
    "tlsroutes.gateway.networking.k8s.io": (1, 5, 0),
    "tcproutes.gateway.networking.k8s.io": (1, 6, 0),
}
_BUNDLE: Final = "gateway.networking.k8s.io/bundle-version"
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-+].*)?")


@query
def definition_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding if a kind is one that Istio took out, or one that it does not read in this version."""
    found = q.get(DEFINITIONS, "", ref.name)
    if found is None:
        return ()
    kind = (found.spec.group, found.spec.names.kind)
    version = _VERSION.fullmatch(found.meta.annotations.get(_BUNDLE, ""))
    oldest = _OLDEST.get(ref.name)
    if kind in _GONE:
        return (_gone(ref, *kind),)
    if version and oldest and tuple(int(part or 0) for part in version.groups()) < oldest:
        return (_too_old(ref, version[0], ".".join(map(str, oldest))),)
    return ()


def _gone(ref: Ref, group: str, kind: str) -> Finding:
    return Finding(
        code=DEPRECATED,
        severity=Severity.WARNING,
        message=f"Deprecated: Custom resource type {group} {kind} is removed",
        ref=ref,
        field="spec.names.kind",
        hint="Use AuthorizationPolicy, and delete the definition",
    )


def _too_old(ref: Ref, version: str, oldest: str) -> Finding:
    return Finding(
        code="IST0176",
        severity=Severity.WARNING,
        message=f'Gateway API CRD "{ref.name}" is at version "{version}" but Istio requires at least "{oldest}";'
        " resources of this kind will not be processed",
        ref=ref,
        field=below("metadata.annotations", _BUNDLE),
        hint=f"Install the Gateway API {oldest} or later",
    )
