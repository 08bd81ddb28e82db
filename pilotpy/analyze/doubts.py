"""All that is doubtful about one object, by its kind.

From a ref to findings with the codes and words of Istio's analyzers (``istioctl analyze``) where
they mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotpy.analyze.authorization import namespace_doubts, target_doubts
from pilotpy.analyze.destinations import subset_doubts, verification_doubts
from pilotpy.analyze.entries import address_doubts, protocol_doubts
from pilotpy.analyze.gateways import gateway_doubts
from pilotpy.analyze.ports import alias_doubts, port_name_doubts
from pilotpy.analyze.sidecars import ambient_doubts, rival_doubts, selector_doubts
from pilotpy.engine import Asking, Query, query
from pilotpy.model.resource import Finding, Ref

Check = Query[[Ref], tuple[Finding, ...]]

CHECKS: Final[Mapping[str, tuple[Check, ...]]] = {
    "AuthorizationPolicy": (target_doubts, namespace_doubts),
    "DestinationRule": (subset_doubts, verification_doubts),
    "Service": (port_name_doubts, alias_doubts),
    "ServiceEntry": (address_doubts, protocol_doubts),
    "Sidecar": (selector_doubts, rival_doubts, ambient_doubts),
    "VirtualService": (gateway_doubts,),
}
"""What is asked about the objects of each kind, in this order."""


@query
def doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return what is doubtful about an object beside others; empty if nothing is, or it is gone."""
    return tuple(finding for check in CHECKS.get(ref.kind, ()) for finding in q(check, ref))
