"""What ``proxy-config`` and ``proxy-status`` print, of dumps of a real Envoy in a lab and of its control plane.

The dumps (`dumps/*.json`) were recorded by hand: `/config_dump?include_eds` and `/clusters?format=json` of a sidecar,
and `/debug/config_dump?include_eds` for it, all without filters inside connection managers, logs and certificates,
which no table shows. `--update-golden` writes what is expected anew.
"""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from pilotpy.cli import app

DUMPS = Path(__file__).parent / "dumps"
ENVOY, HOSTS, PLANE = (DUMPS / f"{name}.json" for name in ("envoy", "clusters", "control_plane"))
SYNCZ = [
    {
        "proxy": "web.shop",
        "cluster_id": "Kubernetes",
        "istio_version": "1.30.0",
        "resources": {
            "type.googleapis.com/envoy.config.cluster.v3.Cluster": {"sent": "a/1", "acked": "a/1"},
            "type.googleapis.com/envoy.config.listener.v3.Listener": {
                "sent": "a/2",
                "lastError": "Error adding/updating listener(s) l: bad",
                "rejected": ["l"],
            },
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {},
        },
    }
]


def ran(*arguments, **rest):
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False, **rest)


@contextmanager
def answering(pages):
    """An HTTP server with these pages, by path; its address and the requests that it got."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self)
            found = pages.get(urlsplit(self.path).path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write((found or "Proxy not connected to this Pilot instance.\n").encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("cluster", ["cluster", "-f", ENVOY], id="clusters by host, subset and port"),
        pytest.param(
            "cluster-filtered",
            ["c", "-f", ENVOY, "--fqdn", "shop", "--port", 80, "--subset", "v2", "--direction", "OUTBOUND"],
            id="the clusters of a subset",
        ),
        pytest.param("listener", ["listeners", "-f", ENVOY], id="listeners by port, with every chain"),
        pytest.param("listener-http", ["l", "-f", ENVOY, "--type", "HTTP"], id="the listeners that take HTTP alone"),
        pytest.param(
            "listener-address", ["l", "-f", ENVOY, "--address", "0.0.0.0", "--port", 15006], id="the one at an address"
        ),
        pytest.param("route", ["route", "-f", ENVOY], id="routes with the objects that made them"),
        pytest.param("route-80", ["r", "-f", ENVOY, "--name", "80"], id="one route table"),
        pytest.param("endpoint", ["endpoint", "-f", HOSTS], id="endpoints as the Envoy sees them"),
        pytest.param(
            "endpoint-filtered",
            ["ep", "-f", HOSTS, "--port", 8080, "--status", "healthy", "--cluster", "inbound|80||"],
            id="no endpoint at all",
        ),
        pytest.param("eds", ["eds", "-f", ENVOY], id="endpoints as they were assigned"),
        pytest.param("bootstrap", ["b", "-f", ENVOY, "-o", "short"], id="the versions of what runs"),
        pytest.param("all", ["all", "-f", ENVOY, "--with-headers"], id="all of it, under headings"),
        pytest.param("plane-cluster", ["cluster", "-f", PLANE], id="clusters as a control plane dumps them"),
        pytest.param("plane-route", ["route", "-f", PLANE], id="routes as a control plane dumps them"),
    ],
)
def test_a_dump_is_shown_in_istioctls_columns(name, arguments, update_golden):
    result = ran("proxy-config", *arguments)
    assert result.exit_code == 0, result.output
    golden = DUMPS / f"{name}.txt"
    if update_golden:
        golden.write_text(result.output)
    assert result.output == golden.read_text()


def test_json_and_yaml_have_the_names_that_istioctl_gives_fields():
    arguments = ("pc", "cluster", "-f", ENVOY, "--fqdn", "shop.default", "--subset", "v1", "--port", 80)
    (found,) = json.loads(ran(*arguments, "-o", "json").output)
    assert found["edsClusterConfig"]["serviceName"] == found["name"] == "outbound|80|v1|shop.default.svc.cluster.local"
    assert yaml.safe_load(ran(*arguments, "-o", "yaml").output) == [found]


def test_a_dump_comes_through_a_pipe():
    result = ran("pc", "route", "-f", "-", "--name", "80", input=ENVOY.read_text())
    assert result.output == (DUMPS / "route-80.txt").read_text()


def test_an_envoy_is_asked_at_its_admin_port():
    pages = {"/config_dump": ENVOY.read_text(), "/clusters": HOSTS.read_text()}
    with answering(pages) as (address, _):
        assert ran("pc", "cluster", "--admin", address).output == (DUMPS / "cluster.txt").read_text()
        assert ran("pc", "endpoint", "--admin", address).output == (DUMPS / "endpoint.txt").read_text()


def test_a_control_plane_is_asked_for_one_proxy_and_shown_who_asks(tmp_path):
    token = tmp_path / "token"
    token.write_text("secret\n")
    with answering({"/debug/config_dump": PLANE.read_text()}) as (address, asked):
        result = ran("pc", "cluster", "shop-v1.default", "--debug-address", address, "--token", token)
    assert result.output == (DUMPS / "plane-cluster.txt").read_text()
    (request,) = asked
    assert request.path == "/debug/config_dump?proxyID=shop-v1.default&include_eds"
    assert request.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("asked", "proxy"),
    [
        pytest.param("shop-v2.default", "shop-v2-7f-x.default", id="with its namespace"),
        pytest.param("cart", "cart-1.other", id="without one"),
        pytest.param("shop-v2.other", "shop-v2.other", id="that is in another namespace: nobody"),
    ],
)
def test_a_control_plane_is_asked_for_a_proxy_of_a_workload(asked, proxy):
    known = ("cart-1.other", "shop-v1-1.default", "shop-v2-7f-x.default")
    with answering({"/debug/syncz": json.dumps([{"proxy": one} for one in known])}) as (address, requests):
        ran("pc", "cluster", asked, "--debug-address", address)
    dumps = [one.path for one in requests if "config_dump" in one.path]
    assert dumps[-1] == f"/debug/config_dump?proxyID={proxy}&include_eds"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "words"),
    [
        pytest.param("{", (), 1, "no JSON", id="a file that ends early"),
        pytest.param("[]", (), 1, "no dump", id="a list"),
        pytest.param('{"configs": 3}', (), 1, "no dump", id="configs that are a number"),
        pytest.param('{"clients": []}', (), 1, "no dump", id="another page of a control plane"),
        pytest.param(
            '{"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "versionInfo": 3}]}',
            (),
            1,
            "ClustersConfigDump",
            id="a part that is not what it says",
        ),
        pytest.param('{"configs": []}', ("--admin", "127.0.0.1:1"), 2, "either", id="two places to look"),
    ],
)
def test_what_is_no_dump_is_said(tmp_path, text, arguments, code, words):
    (tmp_path / "dump").write_text(text)
    result = ran("pc", "cluster", "-f", tmp_path / "dump", *arguments)
    assert (result.exit_code, words in result.output) == (code, True), result.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(("pc", "cluster"), 2, "--file", id="no place to look"),
        pytest.param(("pc", "cluster", "shop"), 2, "no lab is running", id="a pod of no lab"),
        pytest.param(("pc", "cluster", "--debug-address", "127.0.0.1:1"), 2, "POD.NAMESPACE", id="nobody's"),
        pytest.param(("pc", "cluster", "--admin", "127.0.0.1:1"), 1, "127.0.0.1:1", id="nobody listens"),
        pytest.param(("pc", "cluster", "--admin", "127.0.0.1:x"), 1, "127.0.0.1:x", id="a port that is no number"),
        pytest.param(("pc", "cluster", "--admin", "file:///etc/passwd"), 1, "HTTP", id="an address that is a file"),
        pytest.param(("pc", "cluster", "-f", "/no/file"), 1, "/no/file", id="a file that there is not"),
        pytest.param(("ps",), 2, "--debug-address", id="no control plane"),
        pytest.param(("ps", "--debug-address", "127.0.0.1:1"), 1, "127.0.0.1:1", id="a control plane that is away"),
    ],
)
def test_where_nothing_is_to_be_had_is_said(tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # whatever labs run elsewhere
    result = ran(*arguments)
    assert (result.exit_code, words in result.output) == (code, True), result.output


def test_endpoints_of_a_dump_without_any_say_how_to_get_them(tmp_path):
    dump = json.loads(ENVOY.read_text())
    dump["configs"] = [one for one in dump["configs"] if "Endpoints" not in one["@type"]]
    (tmp_path / "dump").write_text(json.dumps(dump))
    result = ran("pc", "endpoint", "-f", tmp_path / "dump")
    assert (result.exit_code, "include_eds" in result.output) == (1, True)


def test_status_tells_each_type_and_why_one_was_refused():
    with answering({"/debug/syncz": json.dumps(SYNCZ)}) as (address, asked):
        result = ran("ps", "--debug-address", address, "-n", "shop")
        brief = ran("ps", "--debug-address", address, "-v", "0")
        plain = ran("ps", "--debug-address", address, "-o", "json")
    header, row, _, refusal = result.output.splitlines()
    assert header.split() == ["NAME", "CLUSTER", "CDS", "ECDS", "EDS", "LDS", "RDS", "ISTIOD", "VERSION"]
    assert " ".join(row.split()) == f"web.shop Kubernetes SYNCED IGNORED IGNORED ERROR NOT SENT {address} 1.30.0"
    assert refusal == "web.shop refuses LDS of l: Error adding/updating listener(s) l: bad"
    assert brief.output.splitlines()[1].split()[-2:] == ["3", "(CDS,LDS,RDS)"]
    assert json.loads(plain.output) == SYNCZ
    assert asked[0].path == "/debug/syncz?namespace=shop"


def test_nobody_answers_where_a_control_plane_was():
    with answering({}) as (address, _):
        pass
    result = ran("ps", "--debug-address", address)
    assert (result.exit_code, "nobody answers there" in result.output) == (1, True)


def test_an_envoy_that_has_what_it_is_sent_matches():
    with answering({"/debug/config_dump": PLANE.read_text()}) as (address, _):
        result = ran("ps", "shop-v1.default", "--debug-address", address, "-f", ENVOY)
    assert (result.exit_code, result.output) == (0, "Clusters Match\nListeners Match\nRoutes Match\n")


def test_an_envoy_that_has_something_else_is_told_apart(tmp_path):
    dump = json.loads(ENVOY.read_text())
    of = {one["@type"].rpartition(".")[2]: one for one in dump["configs"]}
    for held in of["RoutesConfigDump"]["dynamic_route_configs"]:
        held["route_config"]["virtual_hosts"][0]["name"] = "another"
    of["ClustersConfigDump"]["dynamic_active_clusters"].pop()
    (tmp_path / "dump").write_text(json.dumps(dump))
    with answering({"/debug/config_dump": PLANE.read_text()}) as (address, _):
        result = ran("ps", "shop-v1.default", "--debug-address", address, "-f", tmp_path / "dump")
    assert result.exit_code == 2
    assert "Clusters Do Not Match\n  - clusters " in result.output
    assert "Listeners Match\nRoutes Do Not Match\n" in result.output
    assert "+ routes 80 virtual_hosts[another]" in result.output


def test_a_proxy_that_is_not_connected_is_said_in_the_control_planes_words():
    with answering({}) as (address, _):
        result = ran("ps", "nobody.default", "--debug-address", address, "-f", ENVOY)
    assert (result.exit_code, "Proxy not connected to this Pilot instance" in result.output) == (1, True)
