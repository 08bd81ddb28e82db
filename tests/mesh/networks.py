"""Networks of small meshes, written as users write them."""

from __future__ import annotations

from typing import Any

from pilotpy.model.mesh_networks import MESH_NETWORKS, MeshNetworks
from pilotpy.model.resource import Meta, Resource
from pilotpy.schema.mesh_config import mesh_networks
from pilotpy.sources.change import Change, Origin
from pilotpy.sources.kubernetes.foreign import foreign
from pilotpy.sources.shared_services import SharedServices
from tests.mesh.world import resources


def networks(text: str) -> Resource[MeshNetworks]:
    """MeshNetworks, which must be flawless."""
    found, findings = mesh_networks(text, "networks.yaml")
    assert found is not None
    assert not findings
    return Resource(MESH_NETWORKS, Meta(name=MESH_NETWORKS.name), found)


def elsewhere(cluster: str, text: str, *, home: str = "") -> list[Resource[Any]]:
    """The objects of another cluster, and of the home cluster, as the mesh knows them."""
    changes = [*resources(home), *(foreign(one, cluster) for one in resources(text))]
    merged = SharedServices().merged(Change(one.ref, Origin("", 0), None, one) for one in changes)
    known = {change.ref: change.new for change in merged}
    return [one for one in known.values() if one is not None]


def gateway(network: str, address: str, *, name: str = "eastwest", more: str = "") -> str:
    """The Service of a gateway with a load balancer in front of it."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: istio-system, labels: {{topology.istio.io/network: {network}{more}}}}}
spec: {{type: LoadBalancer, clusterIP: 10.96.0.99, ports: [{{name: tls, port: 15443}}]}}
status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}
"""


def root_namespace(network: str) -> str:
    """The root namespace of a cluster that is on a network."""
    labels = f"{{topology.istio.io/network: {network}}}"
    return f"{{apiVersion: v1, kind: Namespace, metadata: {{name: istio-system, labels: {labels}}}}}"
