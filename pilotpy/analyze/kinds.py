"""What an analysis looks at: the inputs of the mesh, and objects that say how the mesh was set up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pilotpy.engine import Kind
from pilotpy.mesh import kinds as mesh
from pilotpy.model.custom_resource_definition import CustomResourceDefinition
from pilotpy.model.resource import Resource
from pilotpy.model.webhook import WebhookConfiguration
from pilotpy.model.workload import Deployment

DEPLOYMENTS: Kind[Resource[Deployment]] = Kind("Deployment")
MUTATING_WEBHOOKS: Kind[Resource[WebhookConfiguration]] = Kind("MutatingWebhookConfiguration")
VALIDATING_WEBHOOKS: Kind[Resource[WebhookConfiguration]] = Kind("ValidatingWebhookConfiguration")
DEFINITIONS: Kind[Resource[CustomResourceDefinition]] = Kind("CustomResourceDefinition")
MESH_NETWORKS = mesh.MESH_NETWORKS

NOW: Kind[datetime] = Kind("Now")
"""When the analysis is made, under the one key ("",); certificates end."""

KIND_OF: dict[str, Kind[Any]] = mesh.KIND_OF | {
    kind.name: kind for kind in (DEPLOYMENTS, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, DEFINITIONS)
}
