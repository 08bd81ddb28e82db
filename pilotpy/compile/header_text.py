"""What Envoy takes for the text of a header, and for a header's value that it formats itself.

One value that Envoy cannot take costs the whole route table, so each is read before it is sent. Source: Envoy's
"well known regex" rules in ``envoy/config/core/v3/base.proto`` and its page on substitution commands.
"""

from __future__ import annotations

import re
from typing import Final

PRINTABLE: Final = "take line breaks and zero bytes out"  # a hint for authors

_FORBIDDEN: Final = re.compile(r"[\x00\r\n]")
_COMMAND: Final = re.compile(r"%(?:%|([A-Z0-9_]+)(\([^)]*\))?(:[0-9]+)?%)")

# The commands that need nothing but their name, and may have nothing else.
_BARE: Final = re.compile(
    r"""BYTES_(RECEIVED|RETRANSMITTED|SENT) | CONNECTION_(ID|TERMINATION_DETAILS) | CUSTOM_FLAGS | FILTER_CHAIN_NAME
    | GRPC_STATUS(_NUMBER)? | HOSTNAME | LOCAL_REPLY_BODY | PROTOCOL | ROUTE_NAME | VIRTUAL_CLUSTER_NAME
    | (ROUNDTRIP_|DOWNSTREAM_HANDSHAKE_|REQUEST_|RESPONSE_)?DURATION | (REQUEST|RESPONSE)_TX_DURATION
    | (SPAN|STREAM|TRACE|UNIQUE)_ID | REQUESTED_SERVER_NAME | REQUEST_HEADERS_BYTES
    | RESPONSE_(CODE|FLAGS|FLAGS_LONG|HEADERS_BYTES|TRAILERS_BYTES) | TLS_JA[34]_FINGERPRINT
    | DOWNSTREAM_(DIRECT_)?(LOCAL|REMOTE)_(ADDRESS|PORT) | UPSTREAM_(LOCAL|REMOTE)_(ADDRESS|PORT)
    | (DOWNSTREAM|UPSTREAM)_((WIRE|HEADER)_BYTES_(RECEIVED|SENT)|TLS_(CIPHER|SESSION_ID|VERSION))
    | (DOWNSTREAM|UPSTREAM)_(TRANSPORT_FAILURE_REASON|(LOCAL|PEER)_(DNS|IP|URI)_SAN|PEER_(CERT|ISSUER|SUBJECT))
    | DOWNSTREAM_(LOCAL_SUBJECT|PEER_SERIAL|PEER_FINGERPRINT_(1|256))
    | UPSTREAM_(CLUSTER|CLUSTER_RAW|CONNECTION_ID|HOST|HOST_NAME|HOST_NAME_WITHOUT_PORT|PROTOCOL|REQUEST_ATTEMPT_COUNT)
    """,
    re.VERBOSE,
)
# Those that may have an argument, but no length.
_ARGUABLE: Final = re.compile(
    r"""(DOWNSTREAM|UPSTREAM)_((DIRECT_)?(LOCAL|REMOTE)_ADDRESS_WITHOUT_PORT|PEER_CERT_V_(END|START))
    | (EMIT|START)_TIME(_LOCAL)? | RESPONSE_CODE_DETAILS""",
    re.VERBOSE,
)
# Those that are nothing without an argument. Headers may name another one to fall back to.
_ARGUED: Final = re.compile(
    r"""(REQ|RESP|TRAILER)\((?=\??[^?)])[^?\s]*(\?[^?\s]*)?\)(:[0-9]+)?
    | (DYNAMIC_METADATA|ENVIRONMENT|QUERY_PARAM)\(.+\)(:[0-9]+)?
    | (UPSTREAM_)?FILTER_STATE\([^:]+(:(PLAIN|TYPED))?\)(:[0-9]+)?
    | (CLUSTER|UPSTREAM)_METADATA\(.+\)""",
    re.VERBOSE,
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
    """Why a value with Envoy's substitution commands ("%REQ(host)%") is not sent; "" if it is.

    A few commands that Envoy has are left out: those whose argument is a language of its own (CEL, METADATA, ...).
    """
    if why := unfit(value):
        return why
    at = value.find("%")
    while at >= 0:
        command = _COMMAND.match(value, at)
        if command is None:
            return "has a % that begins no substitution command (write %% for a percent sign)"
        name, argument, length = command.groups()
        known = (
            name is None
            or _ARGUED.fullmatch(command[0], 1, command.end() - at - 1)
            or (not length and (_ARGUABLE.fullmatch(name) or (not argument and _BARE.fullmatch(name))))
        )
        if not known:
            return f"has a substitution command that is not known: {command[0]}"
        at = value.find("%", command.end())
    return ""
