"""What a client in a small mesh is given of clusters and endpoints, as plain data."""

from __future__ import annotations

from typing import Any

from pilotpy.compile.clusters import clusters
from pilotpy.compile.encoded import Tree
from pilotpy.compile.endpoints import assignments
from pilotpy.engine import Put
from pilotpy.explain.document import opened
from pilotpy.mesh.kinds import MESH_CONFIG
from pilotpy.mesh.views import view
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.resource import Finding
from tests.mesh.world import World

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

CLIENT = "sidecar~10.0.0.100~client.default~default.svc.cluster.local"
REVIEWS = "reviews.default.svc.cluster.local"

REVIEWS_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.96.0.10
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: 8080}]
"""


def workloads(*placed: tuple[str, str, str], service: str = "reviews") -> str:
    """Pods (version, locality, readiness) at 10.1.0.1, 10.1.0.2, ... and the EndpointSlice that lists them."""
    pods, listed = [], []
    for number, (version, locality, condition) in enumerate(placed, 1):
        name = f"{service}-{version}-{number}"
        pods.append(f"""
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: default
  labels: {{app: {service}, version: {version}, istio-locality: {locality.replace("/", ".") or '""'}}}
status: {{podIP: 10.1.0.{number}, phase: Running}}
""")
        listed.append(
            f"- addresses: [10.1.0.{number}]\n"
            f"  conditions: {{{condition}}}\n"
            f"  targetRef: {{kind: Pod, name: {name}, namespace: default}}"
        )
    return "---\n".join([*pods, endpoint_slice(service, listed)])


def endpoint_slice(service: str, listed: list[str]) -> str:
    """The EndpointSlice of a service, with endpoints as they are written in it."""
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-x, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
endpoints:
{chr(10).join(listed)}
ports: [{{name: http, port: 8080}}]
"""


def rule(policy: str, *, host: str = "reviews", subsets: str = "[]") -> str:
    """A DestinationRule with a top-level policy in YAML's flow style."""
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host.removeprefix("*.").split(".")[0]}, namespace: default}}
spec: {{host: {host!r}, trafficPolicy: {policy}, subsets: {subsets}}}
"""


class Client:
    """A proxy in a mesh, and what it is given."""

    def __init__(self, *texts: str, mesh: MeshConfig | None = None, node: str = CLIENT, **metadata: Any) -> None:
        self.world = World(*texts)
        self.engine = self.world.engine
        if mesh is not None:
            self.engine.apply([Put(MESH_CONFIG, ("",), mesh)])
        self.node = self.world.announce(node, **{"ISTIO_VERSION": "1.31.0", **metadata})

    def sent_clusters(self) -> Tree:
        """Clusters as they are sent, the proxy's own included."""
        seen = self.engine.ask(view, self.node)
        return self.engine.ask(clusters, seen.scope, seen.inbound, seen.place, seen.features)

    def sent_assignments(self) -> Tree:
        """Assignments as they are sent."""
        seen = self.engine.ask(view, self.node)
        return self.engine.ask(assignments, seen.scope, seen.place)

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        """Clusters by name, in the order in which they are sent."""
        return {encoded.name: opened(CLUSTER, encoded) for encoded in self.sent_clusters()}

    @property
    def assignments(self) -> dict[str, list[Any]]:
        """Localities with endpoints, by cluster."""
        return {encoded.name: opened(ASSIGNMENT, encoded).get("endpoints", []) for encoded in self.sent_assignments()}

    @property
    def findings(self) -> list[Finding]:
        """What users should know about what they wrote."""
        seen = self.engine.ask(view, self.node)
        notes = self.engine.notes(clusters, seen.scope, seen.inbound, seen.place, seen.features)
        notes += self.engine.notes(assignments, seen.scope, seen.place)
        assert all(isinstance(note, Finding) for note in notes), notes
        return list(dict.fromkeys(notes))


def addresses(localities: list[Any]) -> list[tuple[str, int, list[str]]]:
    """(locality, priority, last numbers of the addresses) of an assignment, in order."""
    return [
        (
            "/".join(group["locality"].values()),
            group.get("priority", 0),
            [
                each["endpoint"]["address"]["socket_address"]["address"].rpartition(".")[2]
                for each in group["lb_endpoints"]
            ],
        )
        for group in localities
    ]
