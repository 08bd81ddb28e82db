"""A mesh as users write it, and the route configurations that it comes to."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.json_format import MessageToDict

from pilotpy.compile.routes import routes
from pilotpy.mesh.scopes import scope
from pilotpy.mesh.view import Listening, Scope
from pilotpy.model.resource import Finding
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import VirtualHost
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.mesh.world import World

PLAIN = Listening()

TO_REVIEWS = "route: [{destination: {host: reviews}}]"
REVIEWS = "outbound|80||reviews.default.svc.cluster.local"
RATINGS = "outbound|8080||ratings.default.svc.cluster.local"

SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
"""


def service(name: str, namespace: str = "default", *, address: str = "", ports: str = "http:80") -> str:
    """A Service in YAML; ports as "name:number,name:number"."""
    listed = [port.split(":") for port in ports.split(",")]
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  clusterIP: {address or "None"}
  ports: [{", ".join(f"{{name: {name}, port: {number}}}" for name, number in listed)}]
"""


def virtual_service(http: str, *, name: str = "routes", namespace: str = "default", host: str = "reviews") -> str:
    """A VirtualService in YAML; `http` is its list of rules. No host: a delegate."""
    spec = "\n".join("    " + line for line in http.strip("\n").splitlines())
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  http:
{spec}
"""


def seen(world: World, namespace: str = "default", held: tuple[tuple[str, str], ...] = ()) -> Scope:
    """What clients of a namespace may reach."""
    found: Scope = world.engine.ask(scope, namespace, None)
    return found._replace(held=held)


def tables(world: World, by: Scope | None = None, listening: Listening = PLAIN) -> dict[str, RouteConfiguration]:
    """All route configurations by name; no name comes twice."""
    tree = world.engine.ask(routes, by or seen(world), listening)
    found = {one.name: RouteConfiguration.FromString(bytes(one)) for one in tree}
    assert len(found) == len(list(tree))
    assert all(name == table.name for name, table in found.items())
    return found


def hosts(
    world: World, table: str = "80", by: Scope | None = None, listening: Listening = PLAIN
) -> dict[str, VirtualHost]:
    """The virtual hosts of a table by name; neither a name nor a domain comes twice."""
    found = tables(world, by, listening)[table].virtual_hosts
    domains = [domain.lower() for host in found for domain in host.domains]
    assert sorted(set(domains)) == sorted(domains)
    assert len({host.name for host in found}) == len(found)
    return {host.name: host for host in found}


def ruled(http: str, *others: str, by: Scope | None = None, port: int = 80) -> list[dict[str, Any]]:
    """The routes of the service "reviews" under a list of rules, as dictionaries."""
    world = ruled_world(http, *others)
    host = hosts(world, str(port), by)[f"reviews.default.svc.cluster.local:{port}"]
    return [plain(route) for route in host.routes]


def ruled_world(http: str, *others: str) -> World:
    """Services "reviews" (ports 80 and 9080) and "ratings" (port 8080), and a VirtualService for the first."""
    reviews = service("reviews", address="10.0.0.1", ports="http:80,http-admin:9080")
    return World(reviews, service("ratings", address="10.0.0.2", ports="http:8080"), virtual_service(http), *others)


def plain(message: Any) -> dict[str, Any]:
    """A message as a dictionary with the API's own names."""
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=descriptor_pool.Default()
    )
    return found


def findings(world: World, by: Scope | None = None) -> list[Finding]:
    """What there is to say about the routes, each once, sorted."""
    notes = world.engine.notes(routes, by or seen(world), PLAIN)
    assert all(isinstance(note, Finding) for note in notes), notes
    unique = {note for note in notes if isinstance(note, Finding)}
    return sorted(unique, key=lambda found: (found.code, found.field, found.message))


def only(http: str, *others: str) -> dict[str, Any]:
    """The one route of the service "reviews" under a list of rules."""
    (route,) = ruled(http, *others)
    return route


def action(http: str, *others: str) -> dict[str, Any]:
    """The forwarding action of the one route."""
    forwarding: dict[str, Any] = only(http, *others)["route"]
    return forwarding


def hashed(by: str) -> str:
    """A DestinationRule that hashes requests to "reviews"."""
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: default}}
spec: {{host: reviews, trafficPolicy: {{loadBalancer: {{consistentHash: {by}}}}}}}
"""
