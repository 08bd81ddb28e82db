"""Istio's own expectations of a sidecar's routes: which clusters a domain leads to."""

import json

from google.protobuf.message import Message

from pilotpy.compile.routes import routes
from pilotpy.engine import Engine, Put
from pilotpy.mesh.kinds import KIND_OF, PROXIES
from pilotpy.mesh.proxy import Proxy, proxy_from_node
from pilotpy.mesh.views import view
from pilotpy.schema.decode import decode_object
from pilotpy.schema.documents import documents
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration

NOT_SERVED_YET = {"HTTPRoute"}  # cases of the Gateway API are another issue's


def clusters(host: Message) -> list[str]:
    found = set()
    for route in host.routes:
        weighted = [cluster.name for cluster in route.route.weighted_clusters.clusters]
        found.update(weighted or filter(None, [route.route.cluster]))
    return sorted(found)


def domains(case: dict) -> dict[tuple[str, str], list[str]]:
    """The clusters behind each domain of each table that the proxy of a case is given."""
    engine = Engine()
    decoded = [decode_object(document.raw).resource for document in documents(case["input"], "in.yaml").objects]
    written = [one for one in decoded if one is not None]
    engine.apply(Put(KIND_OF[one.ref.kind], (one.ref.namespace, one.ref.name), one) for one in written)
    proxy = proxy_from_node(case["proxy"]["node_id"], case["proxy"]["metadata"] or {})
    assert isinstance(proxy, Proxy), proxy
    engine.apply([Put(PROXIES, (proxy.id,), proxy)])
    seen = engine.ask(view, proxy.id)
    tables = [RouteConfiguration.FromString(bytes(one)) for one in engine.ask(routes, seen.scope, seen.listening)]
    return {
        (table.name, domain): clusters(host)
        for table in tables
        for host in table.virtual_hosts
        for domain in host.domains
    }


def test_domains_lead_where_istio_expects(conformance):
    wrong = []
    compared = 0
    for case in json.loads((conformance / "simulation" / "sidecar_simulation.json").read_text())["cases"]:
        if not case.get("routes") or any(f"kind: {kind}" in case["input"] for kind in NOT_SERVED_YET):
            continue
        found = domains(case)
        for table in case["routes"]:
            for domain, want in table["virtual_hosts"].items():
                got = found.get((table["route_config"], domain))
                compared += 1
                if (got or None) != (sorted(want) if want else None):
                    wrong.append((case["name"], table["route_config"], domain, want, got))
    assert compared > 20
    assert wrong == []
