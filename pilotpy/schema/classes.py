"""Whose an object is where its class says so: gateways and ingresses are for one of several controllers in a cluster.

From an object alone. A class of another name may be Istio's too; then it is the class that says so.

Source: istio/istio pkg/config/constants/constants.go, pilot/pkg/config/kube/ingress/conversion.go
(shouldProcessIngressWithClass).
"""

from __future__ import annotations

from typing import Any, Final

from pilotpy.model.gateway_api_gateway import Gateway
from pilotpy.model.gateway_api_gateway_class import GatewayClass
from pilotpy.model.ingress import Ingress, IngressClass
from pilotpy.model.resource import Resource

_OURS: Final = "istio"  # classes that Istio brings are called this, or this with a dash and more
_DOMAIN: Final = "istio.io/"  # of its controllers
_ANNOTATION: Final = "kubernetes.io/ingress.class"  # older than the field, and counts before it


def is_for_others(resource: Resource[Any]) -> bool:
    """Whether a mesh leaves an object alone because it is another controller's."""
    match resource.spec:
        case GatewayClass(controller_name=controller) | IngressClass(controller=controller):
            return not controller.startswith(_DOMAIN)
        case Gateway(gateway_class_name=name):
            return name.partition("-")[0] != _OURS
        case Ingress(ingress_class_name=name):
            name = resource.meta.annotations.get(_ANNOTATION) or name
            return name is not None and name != _OURS
    return False
