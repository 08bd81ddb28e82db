"""Meshes of any size to measure: services with endpoints in namespaces, and proxies that look at them."""

from __future__ import annotations

from collections.abc import Iterator

from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import KIND_OF, PROXIES
from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.schema.decode import decode_object

SERVICES_IN_NAMESPACE = 10
ENDPOINTS_OF_SERVICE = 10


def mesh(services: int) -> Engine:
    """Return an engine with that many services of ten endpoints each, ten services a namespace, a tenth with routes."""
    engine = Engine()
    engine.apply(_put(raw) for raw in _objects(services))
    return engine


def namespace(number: int) -> str:
    """Return the name of the namespace that service ``number`` lives in."""
    return f"ns-{number // SERVICES_IN_NAMESPACE:04}"


def announce(engine: Engine, view: int) -> str:
    """Announce a proxy of namespace ``view``; return its id. No Pod stands behind it."""
    name = f"bench-{view:05}"
    metadata = {"NAMESPACE": f"ns-{view:04}", "ISTIO_VERSION": "1.29.0"}
    node = f"sidecar~10.99.{view // 250}.{view % 250 + 1}~{name}.ns-{view:04}~ns-{view:04}.svc.cluster.local"
    proxy = proxy_from_node(node, metadata)
    assert isinstance(proxy, Proxy)
    engine.apply([Put(PROXIES, (name,), proxy)])
    return name


def route_edit(weight: int) -> Put:
    """Return an edit of the first service's VirtualService: the share of its canary, in percent."""
    return _put(_virtual_service(0, weight))


def endpoint_edit(last: int) -> Put:
    """Return an edit of the first service's endpoints: the last part of one address."""
    return _put(_slice(0, last))


def same_edit() -> Put:
    """Return an edit that no proxy is served anything of: a label on a Service."""
    raw = _service(1)
    raw["metadata"] = {**raw["metadata"], "labels": {"team": "blue"}}  # type: ignore[dict-item]  # made just above
    return _put(raw)


def _objects(services: int) -> Iterator[dict[str, object]]:
    for number in range(services):
        yield _service(number)
        yield _slice(number, 200)
        if number % 10 == 0:
            yield _virtual_service(number, 10)


def _put(raw: dict[str, object]) -> Put:
    resource, findings = decode_object(raw)
    assert resource is not None, findings
    return Put(KIND_OF[resource.ref.kind], (resource.ref.namespace, resource.ref.name), resource)


def _service(number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number:05}", "namespace": namespace(number)},
        "spec": {
            "clusterIP": f"10.96.{number // 250}.{number % 250 + 1}",
            "selector": {"app": f"svc-{number:05}"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def _slice(number: int, last: int) -> dict[str, object]:
    start = number * ENDPOINTS_OF_SERVICE
    addresses = [f"10.{128 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(start, start + 9)]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"svc-{number:05}-1",
            "namespace": namespace(number),
            "labels": {"kubernetes.io/service-name": f"svc-{number:05}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}}
            for address in (*addresses, f"10.200.{number // 250}.{last}")
        ],
    }


def _virtual_service(number: int, weight: int) -> dict[str, object]:
    other = f"svc-{number + 1:05}.{namespace(number)}.svc.cluster.local"
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": f"svc-{number:05}", "namespace": namespace(number)},
        "spec": {
            "hosts": [f"svc-{number:05}"],
            "http": [
                {
                    "route": [
                        {"destination": {"host": f"svc-{number:05}"}, "weight": 100 - weight},
                        {"destination": {"host": other}, "weight": weight},
                    ],
                    "timeout": "5s",
                }
            ],
        },
    }
