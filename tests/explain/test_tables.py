"""Which host and route take a request: in tables that Envoy's documentation decides."""

import pytest
from google.protobuf.json_format import ParseDict

from pilotpy.explain.connection import Request
from pilotpy.explain.tables import Unexplained, route_of, virtual_host_of
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import VirtualHost
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration

TABLE = ParseDict(
    {
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {"name": "any", "domains": ["*"]},
            {"name": "suffix", "domains": ["*.example.com", "*.com"]},
            {"name": "prefix", "domains": ["www.*"]},
            {"name": "exact", "domains": ["www.example.com"]},
        ],
    },
    RouteConfiguration(),
)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        pytest.param("www.example.com", "exact", id="the exact domain first"),
        pytest.param("WWW.Example.com:8080", "exact", id="whatever its case and port"),
        pytest.param("www.other.com", "suffix", id="a suffix before a prefix"),
        pytest.param("www.other.org", "prefix", id="a prefix before all others"),
        pytest.param("other.org", "any", id="all others"),
        pytest.param("[::1]", "any", id="the colons of an address are no port"),
    ],
)
def test_the_closest_domain_takes_the_request(authority, host):
    assert virtual_host_of(TABLE, authority).name == host


def test_a_host_that_no_domain_covers_has_none():
    table = RouteConfiguration(virtual_hosts=[VirtualHost(name="a", domains=["a"])])
    assert virtual_host_of(table, "b") is None


PLAIN = Request("a", "/v1/items?kind=new&empty=", headers={"user": "Ann", "content-type": "application/grpc+proto"})


@pytest.mark.parametrize(
    ("match", "takes"),
    [
        pytest.param({"prefix": "/v1"}, True, id="a prefix"),
        pytest.param({"prefix": "/V1"}, False, id="a prefix in other letters"),
        pytest.param({"prefix": "/V1", "case_sensitive": False}, True, id="unless case does not count"),
        pytest.param({"path": "/v1/items"}, True, id="a path, without the query"),
        pytest.param({"path_separated_prefix": "/v1/item"}, False, id="half a segment"),
        pytest.param({"path_separated_prefix": "/v1"}, True, id="a whole segment"),
        pytest.param({"safe_regex": {"regex": "/v./items"}}, True, id="an expression for all of the path"),
        pytest.param({"safe_regex": {"regex": "/v."}}, False, id="an expression for a part of it"),
        pytest.param({"prefix": "/", "grpc": {}}, True, id="a call of gRPC"),
        *(
            pytest.param({"prefix": "/", "headers": [header]}, takes, id=sentence)
            for header, takes, sentence in [
                ({"name": "User", "string_match": {"exact": "Ann"}}, True, "a header's value"),
                ({"name": "user", "string_match": {"exact": "ann"}}, False, "in other letters"),
                ({"name": "user", "string_match": {"exact": "ann", "ignore_case": True}}, True, "case ignored"),
                ({"name": "user", "string_match": {"prefix": "A"}, "invert_match": True}, False, "inverted"),
                ({"name": "no", "string_match": {"prefix": "A"}, "invert_match": True}, False, "inverted, not there"),
                (
                    {
                        "name": "no",
                        "string_match": {"prefix": "A"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    },
                    True,
                    "inverted, missing taken for empty",
                ),
                ({"name": "user", "present_match": True}, True, "there"),
                ({"name": "user", "present_match": True, "invert_match": True}, False, "there, inverted"),
                ({"name": ":method", "string_match": {"safe_regex": {"regex": "G.T"}}}, True, "the method"),
                ({"name": ":authority", "string_match": {"suffix": "b"}}, False, "another authority"),
            ]
        ),
        *(
            pytest.param({"prefix": "/", "query_parameters": [parameter]}, takes, id=f"parameter {sentence}")
            for parameter, takes, sentence in [
                ({"name": "kind", "string_match": {"contains": "e"}}, True, "holds a letter"),
                ({"name": "empty", "present_match": True}, True, "there though empty"),
                ({"name": "none", "present_match": True}, False, "not there"),
            ]
        ),
    ],
)
def test_a_route_takes_what_its_match_says(match, takes):
    host = ParseDict({"routes": [{"match": match, "direct_response": {"status": 200}}]}, VirtualHost())
    assert (route_of(host, PLAIN) is not None) == takes


def test_the_first_route_that_matches_counts():
    routes = [{"name": name, "match": {"prefix": prefix}} for name, prefix in [("a", "/v2"), ("b", "/v1"), ("c", "/")]]
    assert route_of(ParseDict({"routes": routes}, VirtualHost()), PLAIN).name == "b"


def test_what_the_walk_does_not_know_is_said_and_not_guessed():
    host = ParseDict({"routes": [{"match": {"connect_matcher": {}}}]}, VirtualHost())
    with pytest.raises(Unexplained, match="connect_matcher"):
        route_of(host, PLAIN)
