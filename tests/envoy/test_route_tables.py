"""A real Envoy takes the tables that we make, and refuses what we say that it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pilotpy.compile.header_text import unfit_format
from pilotpy.mesh.view import Listening
from pilotpy.schema.re2 import refusal
from tests.compile.routing import SUBSETS, plain, ruled_world, service, tables, virtual_service

pytestmark = pytest.mark.envoy

ENVOY = Path(sys.executable).with_name("envoy")
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
FILTERS = {
    "envoy.filters.http.fault": "envoy.extensions.filters.http.fault.v3.HTTPFault",
    "envoy.filters.http.cors": "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.filters.http.router": "envoy.extensions.filters.http.router.v3.Router",
}


def typed(name: str, kind: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **facts}}


def listener(number: int, table: dict[str, Any]) -> dict[str, Any]:
    filters = [typed(name, kind) for name, kind in FILTERS.items()]
    manager = typed(
        "envoy.filters.network.http_connection_manager", HCM, stat_prefix="x", http_filters=filters, route_config=table
    )
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"name": f"l{number}", "address": address, "filter_chains": [{"filters": [manager]}]}


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[[Sequence[dict[str, Any]]], str]:
    """What Envoy has against some route configurations; "" if nothing."""

    def ask(found: Sequence[dict[str, Any]]) -> str:
        config = {
            # Istio's bootstrap has the same: the limit of 100 instructions is Envoy's own only where nothing is said.
            "layered_runtime": {
                "layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768}}]
            },
            "static_resources": {"listeners": [listener(number, table) for number, table in enumerate(found)]},
        }
        file = tmp_path / f"{abs(hash(json.dumps(config)))}.json"
        file.write_text(json.dumps(config))
        command = [ENVOY, "--mode", "validate", "-l", "critical", "-c", file]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return "" if done.returncode == 0 else done.stderr + done.stdout

    return ask


def table_of(*routes: dict[str, Any]) -> dict[str, Any]:
    return {"name": "t", "virtual_hosts": [{"name": "h", "domains": ["*"], "routes": list(routes)}]}


RULES = r"""
- match: [{uri: {regex: "/a/(b|c)+"}, headers: {user: {exact: qxh}}, queryParams: {q: {regex: "x{2,3}"}}}]
  route:
  - {destination: {host: reviews, subset: v1}, weight: 90, headers: {response: {set: {x: "100%%"}}}}
  - {destination: {host: ratings}, weight: 10, headers: {request: {add: {host: b.com}}}}
  timeout: 5s
  retries: {attempts: 3, perTryTimeout: 2s, retryOn: "503,reset", retryRemoteLocalities: true, backoff: 30ms}
  mirrors: [{destination: {host: ratings}, percentage: {value: 12.5}}]
- match: [{uri: {exact: /r}, withoutHeaders: {x: {prefix: a}, z: {}}, method: {exact: GET}, scheme: {exact: http}}]
  redirect: {uri: /s, authority: c.com, redirectCode: 308, derivePort: FROM_REQUEST_PORT}
- match: [{uri: {prefix: /d}, ignoreUriCase: true}]
  directResponse: {status: 418, body: {string: short and stout}}
  headers: {response: {add: {a: "%REQ(:authority)%", b: "%START_TIME(%s)%", c: "%PROTOCOL%"}, remove: [server]}}
- match: [{headers: {"@request.auth.claims[a][b]": {exact: c}}}]
  rewrite: {uriRegexRewrite: {match: "^/(.*)/x$", rewrite: "/y/\\1"}}
  route: [{destination: {host: reviews}}]
- fault: {delay: {percentage: {value: 20}, fixedDelay: 500ms}, abort: {percentage: {value: 5}, grpcStatus: NOT_FOUND}}
  corsPolicy: {allowOrigins: [{regex: ".*"}], allowCredentials: true, maxAge: 1h}
  rewrite: {uri: /v2, authority: d.com}
  route: [{destination: {host: reviews, subset: v2}}]
"""
NONSENSE = r"""
- match: [{uri: {regex: "(?=a)"}}, {headers: {x: {regex: "["}}}, {uri: {prefix: /m}}]
  route: [{destination: {host: nobody, subset: none}}, {destination: {host: ratings}}]
- match: [{uri: {prefix: /n}}]
  redirect: {redirectCode: 299}
- match: [{uri: {prefix: /o}}]
  directResponse: {status: 7}
- match: [{uri: {prefix: /p}}]
  headers: {request: {set: {a: "50%", b: "%NO_SUCH%", "": c, "d\r\n": e, f: "g\nh"}, remove: ["", "i\0"]}}
  rewrite: {uri: "/a\nb"}
  route: [{destination: {host: ""}}]
- match: [{uri: {prefix: /q}}]
  rewrite: {uriRegexRewrite: {match: "a(", rewrite: b}}
  corsPolicy: {allowOrigins: [{regex: "("}, {prefix: ""}, {}]}
  fault: {delay: {percentage: {value: 900}, fixedDelay: 0s}, abort: {percentage: {value: 1}, httpStatus: 1000}}
  timeout: -5s
  retries: {attempts: 2, perTryTimeout: -1s, backoff: 0s, retryOn: "what,is,this"}
  route: [{destination: {host: reviews}}]
- {}
"""


@pytest.mark.parametrize("rules", [RULES, NONSENSE], ids=["every feature", "every mistake"])
def test_envoy_takes_the_tables(complaint, rules):
    hashed = SUBSETS.replace(
        "subsets:", "trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 0s}}}}, subsets:"
    )
    others = (
        hashed,
        service("headless", "other", ports="http:80,web:81"),
        service("auto", address="10.0.0.7", ports="web:82"),
        service("auto6", address='"fd00::7"', ports="web:80"),
        virtual_service("- route: [{destination: {host: reviews}}]", name="a", host='"*.example.com", "*", b.com'),
        virtual_service(
            "- route: [{destination: {host: reviews}}]", name="b", host='B.com, "10.0.0.7", headless.other'
        ),
    )
    world = ruled_world(rules, *others)
    found = tables(world, listening=Listening(http_proxy_port=15002))
    assert {"80", "82", "8080", "9080", "auto.default.svc.cluster.local:82", "http_proxy"} - {"82"} <= set(found)
    assert complaint([plain(table) for table in found.values()]) == ""


EXPRESSIONS = r"""
(?=a)b | a(?!b) | (?<=a) | (?P<n>a)(?P<n>b) | (?<n>a) | (?P<1>a) | (?P<>a) | (?P<a-b>c) | (?i)a | (?i:a) | (?i-s:a)
(?)a | (?-)a | (?x)a | (?U)a+ | (?ii)a | (?:) | () | (a | a) | (?#x) | (?>a) | \1 | \8 | \0 | \01 | \12
\a\f\n\r\t\v | \e | \h | \_ | \- | \Z | \z | \A | \b | \B | \C | \G | \K | \X | \R | \N | \pL | \PL | \p{L} | \p{^L}
\P{^Greek} | \p{Greek} | \p{greek} | \p{Any} | \p{Gre} | \p{} | \p | \x41 | \x4 | \x | \x{41} | \x{10FFFF}
\x{110000} | \x{} | \x{0000000041} | \xZZ | \Qa*\E | \Qa | \Q[\E+ | a\E | a** | a++ | a?? | a+? | a*?? | a{2}{3}
a{2}? | a{2}?? | a{,3} | a{3 | a{3,} | a{3,2} | a{1001} | a{1000} | (a{10}){101} | (a{10}){100} | (a{0}){1000}
((a{10}){10}){11} | {2} | a|{2} | ({2}) | * | +a | a|* | (*) | ^* | $+ | \b* | (?i)* | (?i)*a | [a | [] | []a]
[^]a] | [^a-z] | [z-a] | [a-\d] | [\d-z] | [\w-] | [-a] | [a-] | [a-c-e] | [+--] | [[:alpha:]] | [[:^alpha:]]
[[:foo:]] | [[:alpha:] | [:alpha:] | [a\]b] | [\Q] | [\b] | [\pL\PN] | [\x41-\x{5A}] | [[a]] | [a&&b] | [\-\_]
[\1] | [\01] | [[:word:]-z] | \d+(\.\d+)? | ^/v[0-9]+/.*$ | .* | /api/(?:users|groups)/[^/]+ | \\ | a\
(?:a.*\pL[^b-d]bcdefghijklmnopqrstuvwxyz){1000} | [A-Za-z0-9._~-]{1,1000} | \777 | \377
\x{ff} | \x{100} | [\d--] | [a-é] | [é-a] | é{1000}
"""


@pytest.mark.parametrize("line", EXPRESSIONS.strip().splitlines(), ids=lambda line: f"from {line.partition(' ')[0]}")
def test_expressions_are_read_as_re2_reads_them(complaint, line):
    def differs(regex: str) -> str:
        route = {"match": {"safe_regex": {"regex": regex}}, "direct_response": {"status": 200}}
        said, ours = complaint([table_of(route)]), refusal(regex)
        return (
            "" if bool(said) == bool(ours) else f"{regex}: Envoy {said.strip() or 'takes it'}, we {ours or 'take it'}"
        )

    with ThreadPoolExecutor(2) as pool:
        assert [found for found in pool.map(differs, line.split(" | ")) if found] == []


FORMATS = """
100% | % | %% | %%% | a%%b | %REQ% | %REQ(x):0% | %REQ( )% | %REQ(x y)% | %REQ(:path)% | %REQ(a?)% | %REQ(?a)%
%GRPC_STATUS% | %ENVIRONMENT()% | %DYNAMIC_METADATA(a:b):3% | %DYNAMIC_METADATA()% | %UPSTREAM_METADATA(a:b):4%
%CLUSTER_METADATA()% | %REQ(x)% | %REQ(x?y)% | %REQ(x?y):5% | %REQ()% | %REQ(a?b?c)% | %RESP(x)% | %TRAILER(x)%
%PROTOCOL | %PROTOCOL% | %protocol% | %PROTOCOL(x)% | %PROTOCOL:5% | %NO_SUCH% | %START_TIME% | %START_TIME(%Y)%
%START_TIME(%s.%3f)% | %HOSTNAME% | %ENVIRONMENT(HOME)% | %ENVIRONMENT% | %DYNAMIC_METADATA(a:b)%
%DYNAMIC_METADATA% | %FILTER_STATE(a)% | %FILTER_STATE(a:PLAIN)% | %FILTER_STATE(a:NONE)% | %UPSTREAM_METADATA(a:b)%
%UPSTREAM_METADATA(["a","b"])% | %CLUSTER_METADATA(a:b)% | %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%
%DOWNSTREAM_PEER_CERT_V_START% | %DOWNSTREAM_PEER_CERT_V_START(%Y)% | %REQUESTED_SERVER_NAME% | %ROUTE_NAME%
%UPSTREAM_CLUSTER% | %TRACE_ID% | %STREAM_ID% | %UPSTREAM_REMOTE_ADDRESS% | %QUERY_PARAM(a)% | %UNIQUE_ID%
%RESPONSE_FLAGS% | %BYTES_RECEIVED% | %DURATION% | %CONNECTION_ID% | %VIRTUAL_CLUSTER_NAME% | %TLS_JA3_FINGERPRINT%
%EMIT_TIME% | %START_TIME_LOCAL%
"""


def test_header_values_are_read_as_envoy_reads_them(complaint):
    def differs(value: str) -> str:
        header = {"header": {"key": "x", "value": value}}
        route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "request_headers_to_add": [header]}
        said, ours = complaint([table_of(route)]), unfit_format(value)
        return (
            "" if bool(said) == bool(ours) else f"{value}: Envoy {said.strip() or 'takes it'}, we {ours or 'take it'}"
        )

    with ThreadPoolExecutor(2) as pool:
        assert [found for found in pool.map(differs, re.split(r" \| |\n", FORMATS.strip())) if found] == []
