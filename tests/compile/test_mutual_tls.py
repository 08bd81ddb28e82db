"""How a client's clusters and endpoints are secured: by rules, by policies, and unasked."""

import pytest

from pilotpy.model.mesh_config import MeshConfig, TLSConfig
from tests.compile.upstreams import REVIEWS, REVIEWS_SERVICE, Client, rule, workloads
from tests.mesh.world import peer_authentication

CLUSTER = f"outbound|9080||{REVIEWS}"
V1 = f"outbound|9080|v1|{REVIEWS}"
SNI = f"outbound_.9080_._.{REVIEWS}"
TLS = "envoy.transport_sockets.tls"
PLAINTEXT = "envoy.transport_sockets.raw_buffer"
TWO = workloads(("v1", "", "ready: true"), ("v2", "", "ready: true"))
IN_MESH = TWO.replace("app: reviews, version: v1", "app: reviews, version: v1, security.istio.io/tlsMode: istio")
ALL_IN_MESH = TWO.replace("app: reviews,", "app: reviews, security.istio.io/tlsMode: istio,")
DISABLED = peer_authentication("default", "n", "DISABLE")
EXTERNAL = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: default}
spec: {hosts: [e.com], resolution: DNS, ports: [{number: 443, name: h, protocol: HTTP}], subjectAltNames: [www.e.com]}
"""
OUTSIDE = "outbound|443||e.com"


def client(*written, mesh=None, **metadata) -> Client:
    found = Client(REVIEWS_SERVICE, mesh=mesh, **metadata)
    found.world.put(*written)
    return found


def sockets(cluster) -> list[tuple[str, dict[str, str], str]]:
    """(name, what it matches, kind) of a cluster's sockets, in order; ("", {}, kind) is for all endpoints."""
    if "transport_socket" in cluster:
        return [("", {}, cluster["transport_socket"]["name"])]
    matches = cluster.get("transport_socket_matches", [])
    return [(one["name"], one.get("match", {}), one["transport_socket"]["name"]) for one in matches]


def context(cluster):
    """What a cluster says about TLS."""
    socket = cluster.get("transport_socket") or cluster["transport_socket_matches"][0]["transport_socket"]
    return socket["typed_config"]


def names(validation) -> list[str]:
    found = validation.get("default_validation_context", validation)
    return [one["exact"] for one in found.get("match_subject_alt_names", [])]


def modes(client: Client, cluster: str = CLUSTER) -> list[str]:
    """The TLS modes of a cluster's endpoints; "" where they have none."""
    listed = [one for group in client.assignments[cluster] for one in group["lb_endpoints"]]
    matches = (one["metadata"]["filter_metadata"].get("envoy.transport_socket_match", {}) for one in listed)
    return [match.get("tlsMode", "") for match in matches]


def test_endpoints_with_a_proxy_are_spoken_to_in_mutual_tls_unasked():
    cluster = client(IN_MESH).clusters[CLUSTER]
    assert sockets(cluster) == [
        ("tlsMode-istio", {"tlsMode": "istio"}, TLS),
        ("tlsMode-disabled", {}, PLAINTEXT),
    ]


def test_the_context_of_mutual_tls():
    agent = {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
        },
    }
    assert context(client(IN_MESH).clusters[CLUSTER]) == {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": SNI,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["istio-peer-exchange", "istio"],
            "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": agent}],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_subject_alt_names": [{"exact": "spiffe://cluster.local/ns/default/sa/default"}]
                },
                "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": agent},
            },
        },
    }


PLAIN = {"ISTIO_VERSION": ""}
OFFERS = {
    "HTTP leaves the rest to Istio's filter": ("http", "{}", {}, ["istio-peer-exchange", "istio"]),
    "HTTP/2 offers itself too": ("grpc", "{}", {}, ["istio-peer-exchange", "istio", "h2"]),
    "what is upgraded to HTTP/2 offers it": (
        "http",
        "{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
        {},
        ["istio-peer-exchange", "istio", "h2"],
    ),
    "TCP exchanges metadata": ("tcp", "{}", {}, ["istio-peer-exchange", "istio"]),
    "another Envoy says HTTP itself": ("http", "{}", PLAIN, ["istio-http/1.1", "istio", "http/1.1"]),
    "another Envoy says HTTP/2 itself": ("grpc", "{}", PLAIN, ["istio-h2", "istio", "h2"]),
    "another Envoy takes TCP as TCP": ("tcp", "{}", PLAIN, ["istio-peer-exchange", "istio"]),
    "another Envoy takes what it must sniff as TCP": ("odd", "{}", PLAIN, ["istio-peer-exchange", "istio"]),
    "another Envoy that speaks as its client takes it as TCP": (
        "http",
        "{connectionPool: {http: {useClientProtocol: true}}}",
        PLAIN,
        ["istio-peer-exchange", "istio"],
    ),
}


@pytest.mark.parametrize(("port", "policy", "metadata", "expected"), OFFERS.values(), ids=OFFERS)
def test_the_protocols_that_a_client_offers(port, policy, metadata, expected):
    found = Client(REVIEWS_SERVICE.replace("name: http", f"name: {port}"), rule(policy), **metadata).clusters[CLUSTER]
    assert context(found)["common_tls_context"]["alpn_protocols"] == expected


def test_a_subset_has_a_server_name_of_its_own():
    found = client(IN_MESH, rule("null", subsets="[{name: v1, labels: {version: v1}}]")).clusters[V1]
    assert context(found)["sni"] == f"outbound_.9080_.v1_.{REVIEWS}"


UNASKED = {
    "the mesh does without": ([], MeshConfig(enable_auto_mtls=False)),
    "the service's namespace takes plaintext": ([DISABLED], None),
    "the mesh takes plaintext": ([peer_authentication("istio-system", "m", "DISABLE")], None),
    "a rule says plaintext": ([rule("{tls: {mode: DISABLE}}")], None),
}


@pytest.mark.parametrize(("written", "mesh"), UNASKED.values(), ids=UNASKED)
def test_all_is_plaintext_where(written, mesh):
    found = client(IN_MESH, *written, mesh=mesh)
    assert sockets(found.clusters[CLUSTER]) == []


def test_a_proxy_to_which_nobody_hands_a_certificate_calls_in_plaintext():
    assert sockets(client(IN_MESH, KEYLESS="true").clusters[CLUSTER]) == []


def test_what_is_outside_the_mesh_is_left_alone():
    assert sockets(client(EXTERNAL).clusters[OUTSIDE]) == []
    assert sockets(client(EXTERNAL.replace("spec: {", "spec: {location: MESH_INTERNAL, ")).clusters[OUTSIDE]) != []


HEADLESS = {
    "all endpoints have a proxy": (ALL_IN_MESH, [("", {}, TLS)]),
    "one has none": (IN_MESH, []),
    "there are none": ("", []),
}


@pytest.mark.parametrize(("pods", "expected"), HEADLESS.values(), ids=HEADLESS)
def test_a_service_without_an_address_where(pods, expected):
    found = Client(REVIEWS_SERVICE.replace("10.96.0.10", "None"), *([pods] if pods else []))
    assert sockets(found.clusters[CLUSTER]) == expected
    passed = Client(REVIEWS_SERVICE, rule("{loadBalancer: {simple: PASSTHROUGH}}"), *([pods] if pods else []))
    assert sockets(passed.clusters[CLUSTER]) == expected


EXEMPT = peer_authentication("default", "w", "DISABLE", version="v1")
EXEMPT_PORT = peer_authentication("default", "w", "STRICT", ports={8080: "DISABLE"}, version="v1")
OTHER_PORT = peer_authentication("default", "w", "STRICT", ports={80: "DISABLE"}, version="v1")
OLDER = peer_authentication("default", "a", "STRICT", app="reviews")
PORT = "{portLevelSettings: [{port: {number: 9080}, loadBalancer: {simple: RANDOM}}], tls: {mode: %s}}"
ENDPOINTS = {
    "by their label": ([], ["istio", ""]),
    "not in a namespace that takes plaintext": ([DISABLED], ["", ""]),
    "not a workload that takes plaintext": ([EXEMPT], ["", ""]),
    "not on a port that takes plaintext": ([EXEMPT_PORT], ["", ""]),
    "whatever another port takes": ([OTHER_PORT], ["istio", ""]),
    "if an older policy than the one for plaintext holds": ([EXEMPT, OLDER], ["istio", ""]),
    "whatever they take, if a rule insists": (
        [DISABLED, rule("{tls: {mode: ISTIO_MUTUAL}}")],
        ["istio", ""],
    ),
    "not where a rule says plaintext": ([rule("{tls: {mode: DISABLE}}")], ["", ""]),
    "not where a rule says other TLS": ([rule("{tls: {mode: SIMPLE}}")], ["", ""]),
    "as the rule says, where its port says nothing of TLS": ([rule(PORT % "DISABLE")], ["", ""]),
}


@pytest.mark.parametrize(("written", "expected"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoints_are_marked(written, expected):
    assert modes(client(IN_MESH, *written)) == expected


def test_endpoints_that_a_cluster_lists_itself_are_marked_too():
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: default}
spec:
  hosts: [e.com]
  location: MESH_INTERNAL
  resolution: DNS
  ports: [{number: 80, name: h, protocol: HTTP}]
  endpoints: [{address: a.e.com, serviceAccount: a}, {address: b.e.com}]
"""
    cluster = client(entry).clusters["outbound|80||e.com"]
    listed = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [("envoy.transport_socket_match" in one["metadata"]["filter_metadata"]) for one in listed] == [True, False]
    accepted = names(context(cluster)["common_tls_context"]["combined_validation_context"])
    assert accepted == ["spiffe://cluster.local/ns/default/sa/a"]


def accepted(found: Client) -> list[str]:
    return names(context(found.clusters[CLUSTER])["common_tls_context"]["combined_validation_context"])


def test_servers_are_known_by_the_accounts_of_their_pods():
    other = IN_MESH.replace("version: v2}", "version: v2}").replace(
        "status: {podIP: 10.1.0.2", "spec: {serviceAccountName: b}\nstatus: {podIP: 10.1.0.2"
    )
    assert accepted(client(other)) == [
        "spiffe://cluster.local/ns/default/sa/b",
        "spiffe://cluster.local/ns/default/sa/default",
    ]


def test_nothing_is_known_of_servers_that_are_not_there():
    assert accepted(client()) == []


def test_identities_are_accepted_in_all_trust_domains_of_the_mesh():
    mesh = MeshConfig(trust_domain="new", trust_domain_aliases=("old",))
    assert accepted(client(IN_MESH, mesh=mesh)) == [
        "spiffe://new/ns/default/sa/default",
        "spiffe://old/ns/default/sa/default",
    ]


def test_a_service_may_name_accounts_beside_those_of_its_pods():
    annotated = REVIEWS_SERVICE.replace(
        "{name: reviews,",
        "{annotations: {alpha.istio.io/kubernetes-serviceaccounts: c}, name: reviews,",
    )
    assert accepted(Client(annotated)) == ["spiffe://cluster.local/ns/default/sa/c"]


RULES = {
    "mutual TLS of the mesh is for all endpoints": (
        "{mode: ISTIO_MUTUAL}",
        {"sni": SNI, "names": ["spiffe://cluster.local/ns/default/sa/default"], "own": "default", "roots": "ROOTCA"},
    ),
    "mutual TLS of the mesh may have other names": (
        "{mode: ISTIO_MUTUAL, sni: a, subjectAltNames: [b, c]}",
        {"sni": "a", "names": ["b", "c"], "own": "default", "roots": "ROOTCA"},
    ),
    "TLS trusts what the system does": ("{mode: SIMPLE}", {"roots": "file-root:system"}),
    "TLS may trust others": (
        "{mode: SIMPLE, sni: a, caCertificates: /ca.pem, subjectAltNames: [b]}",
        {"sni": "a", "names": ["b"], "roots": "file-root:/ca.pem"},
    ),
    "TLS may verify nothing": ("{mode: SIMPLE, insecureSkipVerify: true}", {}),
    "mutual TLS shows a certificate from files": (
        "{mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}",
        {"own": "file-cert:/c.pem~/k.pem", "roots": "file-root:/ca.pem"},
    ),
}


def told(cluster):
    """What a cluster's TLS comes to, without what is empty."""
    tls = context(cluster)
    common = tls["common_tls_context"]
    combined = common.get("combined_validation_context", {})
    found = {
        "sni": tls.get("sni", ""),
        "names": names(combined),
        "own": "".join(one["name"] for one in common.get("tls_certificate_sds_secret_configs", [])),
        "roots": combined.get("validation_context_sds_secret_config", {}).get("name", ""),
    }
    return {field: value for field, value in found.items() if value}


@pytest.mark.parametrize(("tls", "expected"), RULES.values(), ids=RULES)
def test_what_a_rule_says(tls, expected):
    cluster = client(IN_MESH, rule(f"{{tls: {tls}}}")).clusters[CLUSTER]
    assert sockets(cluster) == [("", {}, TLS)]
    assert told(cluster) == expected


def test_a_rule_for_a_subset_or_port_holds_there():
    subsets = "[{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}]"
    found = client(IN_MESH, rule("{tls: {mode: ISTIO_MUTUAL}}", subsets=subsets)).clusters
    assert (sockets(found[V1]), sockets(found[CLUSTER])) == ([], [("", {}, TLS)])
    port = "{tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: 9080}, tls: {mode: DISABLE}}]}"
    assert sockets(client(IN_MESH, rule(port)).clusters[CLUSTER]) == []


def test_revoked_certificates_of_servers_are_refused():
    found = client(rule("{tls: {mode: SIMPLE, caCrl: /crl.pem}}")).clusters[CLUSTER]
    combined = context(found)["common_tls_context"]["combined_validation_context"]
    assert combined["default_validation_context"]["crl"] == {"filename": "/crl.pem"}


HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
AUTOMATIC = {
    "the host of each request is asked for and verified": (
        "{mode: SIMPLE}",
        {"auto_sni": True, "auto_san_validation": True},
    ),
    "names of the rule are verified instead": ("{mode: SIMPLE, subjectAltNames: [a]}", {"auto_sni": True}),
    "nothing is verified if the rule says so": ("{mode: SIMPLE, insecureSkipVerify: true}", {"auto_sni": True}),
    "a name of the rule is asked for": ("{mode: SIMPLE, sni: a}", None),
    "in the mesh it is the cluster's": ("{mode: ISTIO_MUTUAL}", None),
}


@pytest.mark.parametrize(("tls", "expected"), AUTOMATIC.values(), ids=AUTOMATIC)
def test_server_names(tls, expected):
    cluster = client(rule(f"{{tls: {tls}}}")).clusters[CLUSTER]
    options = cluster.get("typed_extension_protocol_options", {}).get(HTTP, {})
    assert options.get("upstream_http_protocol_options") == expected


def test_tls_to_an_entry_verifies_the_names_that_it_says():
    found = client(EXTERNAL, rule("{tls: {mode: SIMPLE}}", host="e.com")).clusters[OUTSIDE]
    assert told(found) == {"names": ["www.e.com"], "roots": "file-root:system"}


def test_tls_that_is_not_the_meshs_keeps_the_protocols_of_its_streams():
    found = client(EXTERNAL, rule("{tls: {mode: SIMPLE}}", host="e.com")).clusters[OUTSIDE]
    assert found["metadata"]["filter_metadata"]["istio"]["alpn_override"] == "false"
    assert "alpn_protocols" not in context(found)["common_tls_context"]
    http2 = client(EXTERNAL.replace("protocol: HTTP", "protocol: HTTP2"), rule("{tls: {mode: SIMPLE}}", host="e.com"))
    assert context(http2.clusters[OUTSIDE])["common_tls_context"]["alpn_protocols"] == ["h2"]


def test_the_meshs_limits_hold_for_tls_that_is_not_its_own():
    limits = TLSConfig(ecdh_curves=("P-256",), cipher_suites=("ECDHE-RSA-AES256-GCM-SHA384", "UNKNOWN"))
    found = client(IN_MESH, rule("{tls: {mode: SIMPLE}}"), mesh=MeshConfig(tls_defaults=limits)).clusters[CLUSTER]
    params = context(found)["common_tls_context"]["tls_params"]
    assert (params["ecdh_curves"], params["cipher_suites"]) == (["P-256"], ["ECDHE-RSA-AES256-GCM-SHA384"])
    own = client(IN_MESH, mesh=MeshConfig(tls_defaults=limits)).clusters[CLUSTER]
    assert "cipher_suites" not in context(own)["common_tls_context"]["tls_params"]


CREDENTIAL = rule("{tls: {mode: MUTUAL, credentialName: c}}")


def test_a_credential_is_asked_for_where_a_rule_selects_the_client():
    selecting = CREDENTIAL.replace("spec: {", "spec: {workloadSelector: {matchLabels: {app: web}}, ")
    found = client(selecting, LABELS={"app": "web"}).clusters[CLUSTER]
    assert told(found) == {"own": "kubernetes://c", "roots": "kubernetes://c-cacert"}
    (own,) = context(found)["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert own["sds_config"] == {"ads": {}, "resource_api_version": "V3"}


def test_without_a_selector_a_credential_is_nobodys():
    found = client(CREDENTIAL)
    assert sockets(found.clusters[CLUSTER]) == []
    assert [(one.code, one.field) for one in found.findings] == [("PP0303", "spec.trafficPolicy.tls.credentialName")]


FILES = {"TLS_CLIENT_CERT_CHAIN": "/c", "TLS_CLIENT_KEY": "/k", "TLS_CLIENT_ROOT_CERT": "/r"}
OWN = {"own": "file-cert:/c~/k", "roots": "file-root:/r"}
IDENTITY = ["spiffe://cluster.local/ns/default/sa/default"]
WITH_FILES = {
    "unasked": ("null", {**OWN, "sni": SNI, "names": IDENTITY}),
    "as a rule says": (
        "{tls: {mode: ISTIO_MUTUAL, sni: a, subjectAltNames: [b]}}",
        {**OWN, "sni": "a", "names": ["b"]},
    ),
    "whatever files a rule has": (
        "{tls: {mode: MUTUAL, clientCertificate: /x, privateKey: /y, sni: a}}",
        {**OWN, "sni": "a"},
    ),
    "not where a rule asks for none": ("{tls: {mode: SIMPLE, sni: a}}", {"sni": "a", "roots": "file-root:system"}),
}


@pytest.mark.parametrize(("policy", "expected"), WITH_FILES.values(), ids=WITH_FILES)
def test_a_proxy_shows_the_certificate_in_its_files(policy, expected):
    assert told(client(IN_MESH, rule(policy), **FILES).clusters[CLUSTER]) == expected


def test_the_proxy_protocol_comes_before_tls():
    both = client(IN_MESH, rule("{proxyProtocol: {version: V2}}")).clusters[CLUSTER]["transport_socket_matches"]
    inner = [one["transport_socket"]["typed_config"]["transport_socket"]["name"] for one in both]
    assert inner == [TLS, PLAINTEXT]
