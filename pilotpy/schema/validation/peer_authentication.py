"""PeerAuthentication: modes that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidatePeerAuthentication.
"""

from __future__ import annotations

from pilotpy.model.peer_authentication import PeerAuthentication
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names
from pilotpy.schema.validation.selectors import policy_selector


def peer_authentication(resource: Resource[PeerAuthentication]) -> Problems:
    """What is wrong with a PeerAuthentication."""
    spec = resource.spec
    if spec.port_level_mtls and not (spec.selector and spec.selector.match_labels):
        yield Problem("spec.portLevelMtls", "Modes of single ports need a selector")
    for port in spec.port_level_mtls:
        yield from names.port_text(port, below("spec.portLevelMtls", port))
    yield from policy_selector(spec.selector, "spec")
