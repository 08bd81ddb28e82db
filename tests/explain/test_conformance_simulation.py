"""Istio's expectations of connections: which listener, chain and cluster take each, or why none does."""

import json
from typing import Any, NamedTuple

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from pilotpy import api
from pilotpy.compile.collection import CLUSTERS, LISTENERS, ROUTES
from pilotpy.explain.chains import Ambiguous
from pilotpy.explain.connection import Connection, Request
from pilotpy.explain.document import message
from pilotpy.explain.walk import End, Way, inbound_way, outbound_way, termination

SUITES = ("sidecar", "serviceentry", "peer_authentication")
ERRORS = {
    End.NO_LISTENER: "no_listener",
    End.NO_CHAIN: "no_filter_chain",
    End.TLS_EXPECTED: "tls_error",
    End.NOT_HTTP: "protocol_error",
    End.NO_HOST: "no_virtual_host",
    End.NO_ROUTE: "no_route",
    End.TLS_REQUIRED: "tls_redirect",
}
PLAINTEXT = {"http": "http/1.1", "http2": "h2c"}

NOT_OURS = {
    # Switches of istiod's process that change what is compiled; we have no such switch.
    "ENABLE_TLS_ON_SIDECAR_INGRESS",
    "PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER",
}
NOT_COMPILED = {
    # A finding says so: plaintext HTTP to strangers goes where its client wanted, not where its Host leads.
    "AllowAnyDynamicDNSCluster",
}


class Met(NamedTuple):
    """What a call met, in the words of the cases."""

    error: str | None
    way: Way


def cases(conformance, suite: str) -> list[dict[str, Any]]:
    return json.loads((conformance / "simulation" / f"{suite}_simulation.json").read_text())["cases"]


def proxy(case: dict[str, Any], folder) -> api.MeshProxy:
    (folder / "in.yaml").write_text(case["input"])
    settings = None
    if case.get("mesh_config"):
        settings = folder / "mesh-config"
        settings.write_text(yaml.safe_dump(case["mesh_config"]))
    mesh = api.load(folder / "in.yaml", mesh_config=settings)
    metadata = dict(case["proxy"]["metadata"] or {})
    if case["proxy"]["labels"]:
        metadata["LABELS"] = case["proxy"]["labels"]
    return mesh.node(case["proxy"]["node_id"], metadata=metadata)


def met(served: api.MeshProxy, call: dict[str, Any]) -> Met:
    tls = call["tls"] != "plaintext"
    connection = Connection(
        address=call["address"],
        port=call["port"],
        tls=tls,
        server_name=call.get("sni", ""),
        protocols=tuple(filter(None, [call.get("alpn", "")])) if tls else (),
        speaks="" if tls else PLAINTEXT.get(call["protocol"], ""),
    )
    request = Request(call.get("host", ""), call["path"]) if call["protocol"] in PLAINTEXT else None
    go = inbound_way if call["mode"] == "inbound" else outbound_way
    tables = {one.name: message(ROUTES, one) for one in served.tree(ROUTES)}
    try:
        way = go([message(LISTENERS, one) for one in served.tree(LISTENERS)], tables, connection, request)
    except Ambiguous:
        return Met("multiple_filter_chains", Way())
    if way.end:
        return Met(ERRORS[way.end], way)
    context = way.chain and termination(way.chain)
    mutual = context is not None and context.require_client_certificate.value
    if context is not None and mutual != (call["tls"] == "mtls"):
        return Met("mtls_error", way)
    return Met(None, way)


def differs(call: dict[str, Any], found: Met) -> str:
    """What a call met instead of what it should have; "" if that is the same."""
    want, way = call["expect"], found.way
    clusters = [name for name, _ in way.clusters]
    got = {
        "error": found.error,
        "listener": way.listener.name if way.listener else "",
        "filter_chain": way.chain.name if way.chain else "",
        "virtual_host": way.host.name if way.host else "",
        "route": way.route.name if way.route else "",
        "cluster": clusters[0] if len(clusters) == 1 else "",
    }
    allowed = {want.get("cluster"), want.get("cluster_with_domain")}
    wrong = {
        key: got[key]
        for key in got
        if key in want and got[key] != want[key] and not (key == "cluster" and got[key] in allowed)
    }
    return f"{call_name(call)}: wanted { ({key: want[key] for key in wrong}) }, met {wrong}" if wrong else ""


def call_name(call: dict[str, Any]) -> str:
    return f"{call['name']} {call['call']['mode']} {call['call']['protocol']} {call['call']['tls']}"


@pytest.mark.parametrize("suite", SUITES)
def test_connections_go_where_istio_expects(conformance, tmp_path, suite):
    wrong, made = [], 0
    for case in cases(conformance, suite):
        if not case.get("calls") or NOT_OURS & set(case.get("env") or ()):
            continue
        served = proxy(case, tmp_path)
        for call in case["calls"]:
            if call["expect"].get("cluster") in NOT_COMPILED:
                continue
            made += 1
            if said := differs(call, met(served, call["call"])):
                wrong.append((case["name"], said))
    assert made
    assert wrong == [], "\n".join(": ".join(one) for one in wrong)


def test_inbound_clusters_lead_where_istio_expects(conformance, tmp_path):
    wrong, made = [], 0
    for case in cases(conformance, "sidecar"):
        if not case.get("inbound_clusters"):
            continue
        clusters = {one.name: message(CLUSTERS, one) for one in proxy(case, tmp_path).tree(CLUSTERS)}
        inbound = {name for name in clusters if name.startswith("inbound|")}
        if inbound != case["inbound_clusters"].keys():
            wrong.append((case["name"], inbound))
            continue
        for name, want in case["inbound_clusters"].items():
            made += 1
            endpoints = [
                f"{place.address}:{place.port_value}"
                for group in clusters[name].load_assignment.endpoints
                for one in group.lb_endpoints
                for place in [one.endpoint.address.socket_address]
            ]
            described = MessageToDict(clusters[name].metadata.filter_metadata["istio"])
            services = sorted(one["host"] for one in described.get("services", ()))
            if (endpoints, services) != (want["endpoints"] or [], sorted(want["telemetry_services"] or [])):
                wrong.append((case["name"], name, want, endpoints, services))
    assert made
    assert wrong == []
