"""What Envoy takes for the text of a header, and for a header's value that it formats itself.

One value that Envoy cannot take costs the whole route table, so each is read before it is sent. Source: Envoy's
"well known regex" rules in ``envoy/config/core/v3/base.proto`` and its page on substitution commands.
"""

from __future__ import annotations

import re
from typing import Final

_FORBIDDEN: Final = re.compile(r"[\x00\r\n]")
_COMMAND: Final = re.compile(r"%(?:%|(?P<name>[A-Z0-9_]+)(?P<argument>\([^)]*\))?(?::(?P<length>[0-9]+))?%)")

# Commands that Envoy refuses without an argument, and those that take none.
_WITH_ARGUMENT: Final = frozenset(
    [
        "REQ",
        "RESP",
        "TRAILER",
        "DYNAMIC_METADATA",
        "CLUSTER_METADATA",
        "UPSTREAM_METADATA",
        "FILTER_STATE",
        "UPSTREAM_FILTER_STATE",
        "ENVIRONMENT",
        "QUERY_PARAM",
    ]
)
_WITHOUT_ARGUMENT: Final = frozenset(
    [
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "CONNECTION_ID",
        "CONNECTION_TERMINATION_DETAILS",
        "CUSTOM_FLAGS",
        "DURATION",
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_LOCAL_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_PORT",
        "DOWNSTREAM_HEADER_BYTES_RECEIVED",
        "DOWNSTREAM_HEADER_BYTES_SENT",
        "DOWNSTREAM_HANDSHAKE_DURATION",
        "DOWNSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_PORT",
        "DOWNSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_LOCAL_URI_SAN",
        "DOWNSTREAM_LOCAL_DNS_SAN",
        "DOWNSTREAM_PEER_CERT",
        "DOWNSTREAM_PEER_FINGERPRINT_1",
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        "DOWNSTREAM_PEER_ISSUER",
        "DOWNSTREAM_PEER_SERIAL",
        "DOWNSTREAM_PEER_SUBJECT",
        "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_PEER_DNS_SAN",
        "DOWNSTREAM_REMOTE_ADDRESS",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_REMOTE_PORT",
        "DOWNSTREAM_TLS_CIPHER",
        "DOWNSTREAM_TLS_SESSION_ID",
        "DOWNSTREAM_TLS_VERSION",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "DOWNSTREAM_WIRE_BYTES_SENT",
        "FILTER_CHAIN_NAME",
        "HOSTNAME",
        "PROTOCOL",
        "REQUESTED_SERVER_NAME",
        "REQUEST_DURATION",
        "REQUEST_HEADERS_BYTES",
        "RESPONSE_CODE",
        "RESPONSE_CODE_DETAILS",
        "RESPONSE_DURATION",
        "RESPONSE_FLAGS",
        "RESPONSE_FLAGS_LONG",
        "RESPONSE_HEADERS_BYTES",
        "RESPONSE_TRAILERS_BYTES",
        "RESPONSE_TX_DURATION",
        "ROUNDTRIP_DURATION",
        "ROUTE_NAME",
        "STREAM_ID",
        "TRACE_ID",
        "UNIQUE_ID",
        "UPSTREAM_CLUSTER",
        "UPSTREAM_CLUSTER_RAW",
        "UPSTREAM_CONNECTION_ID",
        "UPSTREAM_HOST",
        "UPSTREAM_HOST_NAME",
        "UPSTREAM_HOST_NAME_WITHOUT_PORT",
        "UPSTREAM_LOCAL_ADDRESS",
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_PROTOCOL",
        "UPSTREAM_REMOTE_ADDRESS",
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_REMOTE_PORT",
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_TLS_CIPHER",
        "UPSTREAM_TLS_VERSION",
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        "VIRTUAL_CLUSTER_NAME",
    ]
)
_WITH_OR_WITHOUT: Final = frozenset(
    [
        "DOWNSTREAM_PEER_CERT_V_END",
        "DOWNSTREAM_PEER_CERT_V_START",
        "START_TIME",
        "START_TIME_LOCAL",
        "EMIT_TIME",
        "UPSTREAM_PEER_CERT_V_END",
        "UPSTREAM_PEER_CERT_V_START",
    ]
)


def unfit(text: str) -> str:
    """Why a text cannot stand in a header ("holds ..."); "" if it can."""
    return "holds a line break or a zero byte" if _FORBIDDEN.search(text) else ""


def unfit_name(name: str) -> str:
    """Why a text cannot name a header; "" if it can."""
    if not name:
        return "is empty"
    return unfit(name)


def unfit_format(value: str) -> str:
    """Why a value with Envoy's substitution commands ("%REQ(host)%") is refused; "" if it is not."""
    if why := unfit(value):
        return why
    at = value.find("%")
    while at >= 0:
        command = _COMMAND.match(value, at)
        if command is None:
            return "has a % that begins no substitution command (write %% for a percent sign)"
        name, argument = command["name"], command["argument"]
        known = name is None or (
            name in _WITH_OR_WITHOUT or (name in _WITH_ARGUMENT if argument else name in _WITHOUT_ARGUMENT)
        )
        if not known:
            return f"has a substitution command that Envoy does not know: {command[0]}"
        at = value.find("%", command.end())
    return ""
