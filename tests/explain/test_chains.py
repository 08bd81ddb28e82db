"""Which listener and chain take a connection: in listeners that Envoy's documentation decides."""

import pytest
from google.protobuf.json_format import ParseDict

from pilotpy.explain.chains import Ambiguous, chain_of, listener_of
from pilotpy.explain.connection import Connection
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener

PLAIN = Connection("10.0.0.1", 80, speaks="http/1.1")
TLS = Connection("10.0.0.1", 443, tls=True, server_name="api.example.com", protocols=("h2", "http/1.1"))
INSPECTORS = ("tls_inspector", "http_inspector")


def listener(name="l", address="0.0.0.0", port=15001, inspectors=INSPECTORS, disabled=None, **chains):
    filters = [{"name": f"envoy.filters.listener.{one}"} | (disabled or {}) for one in inspectors]
    text = {
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "use_original_dst": True,
        "listener_filters": filters,
        "filter_chains": [{"name": key, "filter_chain_match": match} for key, match in chains.items()],
    }
    return ParseDict(text, Listener())


def named(chain):
    return chain and chain.name


@pytest.mark.parametrize(
    ("chains", "connection", "taken"),
    [
        pytest.param({"a": {}, "b": {"destination_port": 80}}, PLAIN, "b", id="the port before none"),
        pytest.param({"a": {}, "b": {"destination_port": 81}}, PLAIN, "a", id="none where the port is another"),
        pytest.param(
            {"a": {"destination_port": 80, "transport_protocol": "tls"}, "b": {}},
            PLAIN,
            None,
            id="what the port ruled out does not come back",
        ),
        pytest.param(
            {
                "a": {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
                "b": {"prefix_ranges": [{"address_prefix": "10.0.0.1", "prefix_len": 32}]},
            },
            PLAIN,
            "b",
            id="the longest prefix",
        ),
        pytest.param(
            {"a": {"prefix_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 0}]}, "b": {}},
            PLAIN,
            "a",
            id="a prefix of no bits before none",
        ),
        pytest.param(
            {"a": {"server_names": ["*.com"]}, "b": {"server_names": ["*.example.com"]}, "c": {}},
            TLS,
            "b",
            id="the longest suffix of a server name",
        ),
        pytest.param(
            {"a": {"server_names": ["*.example.com"]}, "b": {"server_names": ["api.example.com"]}},
            TLS,
            "b",
            id="the exact server name",
        ),
        pytest.param(
            {"a": {"server_names": ["*.api.example.com"]}, "b": {}}, TLS, "b", id="a suffix covers more than itself"
        ),
        pytest.param(
            {"a": {"transport_protocol": "raw_buffer"}, "b": {"transport_protocol": "tls"}}, TLS, "b", id="TLS is told"
        ),
        pytest.param(
            {"a": {"application_protocols": ["http/1.1"]}, "b": {"application_protocols": ["h2"]}},
            TLS,
            "b",
            id="the client's favourite protocol",
        ),
        pytest.param(
            {"a": {"application_protocols": ["http/1.1", "h2c"]}, "b": {}}, PLAIN, "a", id="HTTP is told in plaintext"
        ),
        pytest.param({"a": {"destination_port": 81}}, PLAIN, None, id="no chain, no default"),
    ],
)
def test_the_closest_chain_takes_the_connection(chains, connection, taken):
    assert named(chain_of(listener(**chains), connection)) == taken


@pytest.mark.parametrize(
    ("disabled", "taken"),
    [
        pytest.param({}, "http", id="it looks"),
        pytest.param({"filter_disabled": {"any_match": True}}, "rest", id="never"),
        pytest.param({"filter_disabled": {"destination_port_range": {"start": 80, "end": 81}}}, "rest", id="not here"),
        pytest.param({"filter_disabled": {"destination_port_range": {"start": 81, "end": 90}}}, "http", id="elsewhere"),
        pytest.param(
            {"filter_disabled": {"not_match": {"destination_port_range": {"start": 81, "end": 82}}}},
            "rest",
            id="only elsewhere",
        ),
    ],
)
def test_an_inspector_that_is_off_tells_nothing(disabled, taken):
    chains = {"http": {"application_protocols": ["http/1.1"]}, "rest": {}}
    assert chain_of(listener(disabled=disabled, **chains), PLAIN).name == taken


def test_two_chains_for_one_connection_are_said():
    with pytest.raises(Ambiguous):
        chain_of(listener(a={}, b={}), PLAIN)


@pytest.mark.parametrize(
    ("address", "port", "taken"),
    [
        pytest.param("10.0.0.1", 80, "its own", id="the address and port"),
        pytest.param("10.0.0.2", 80, "any", id="any address of the port"),
        pytest.param("10.0.0.1", 81, "virtualOutbound", id="a port that nobody listens on"),
    ],
)
def test_what_was_captured_is_handed_on(address, port, taken):
    listeners = [listener("virtualOutbound"), listener("any", port=80), listener("its own", "10.0.0.1", 80)]
    assert listener_of(listeners, Connection(address, port), captured_by="virtualOutbound").name == taken


def test_without_anybody_who_captures_nobody_takes_it():
    assert listener_of([listener("any", port=80)], PLAIN, captured_by="virtualOutbound") is None
