"""How an Envoy is made to let go of connections whose peers may have been revoked since. No sockets.

Envoy judges a peer when a connection begins, never again. What ends connections is a change of the filter chain that
they came in by: Envoy puts the new chain in place and drains the old one. So the agent sends the inbound listener, as
it is, once more, with a mark in its chains' metadata that means nothing to Envoy.

Source  Envoy ``intro/arch_overview/listeners/listener_filters`` ("filter chain only update"),
        ``config/listener/v3/listener_components.proto``.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from pilotpy.xds.resource_type import LISTENER
from pilotpy_protos.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from pilotpy_protos.envoy.config.listener.v3.listener_pb2 import Listener
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, DiscoveryResponse

Response = DiscoveryResponse | DeltaDiscoveryResponse

_OWN: Final = "agent/"  # begins the nonces of what the agent made itself
_INBOUND: Final = "virtualInbound"
_KEY: Final = "pilotpy.agent"


class InboundConnections:
    """The inbound listener of one Envoy as it was last sent. Outlives streams: a delta client is not sent it again."""

    def __init__(self) -> None:
        self._last: Response | None = None  # that it was in
        self._mark = ""  # on all that passes once it was asked for
        self._count = 0

    def is_own(self, nonce: str) -> bool:
        """Whether a request answers what was made here, and so is not for the control plane."""
        return nonce.startswith(_OWN)

    def passed(self, message: bytes, response: Response) -> bytes:
        """A response as Envoy is to get it."""
        if response.type_url != LISTENER.url:
            return message
        if isinstance(response, DiscoveryResponse):
            self._last = response
        elif any(one.name == _INBOUND for one in response.resources):
            self._last = _only_inbound(response)
        elif _INBOUND in response.removed_resources:
            self._last = None
        return _marked(response, self._mark).SerializeToString() if self._mark else message

    def fresh(self, mark: str, *, incremental: bool) -> bytes | None:
        """The listener once more, under another mark; None while there is none that such a stream could be sent."""
        self._mark = mark
        if self._last is None or isinstance(self._last, DeltaDiscoveryResponse) != incremental:
            return None
        self._count += 1
        again = _marked(self._last, mark)
        again.nonce = f"{_OWN}{self._count}"
        return again.SerializeToString()


def _only_inbound(response: DeltaDiscoveryResponse) -> DeltaDiscoveryResponse:
    kept = DeltaDiscoveryResponse(system_version_info=response.system_version_info, type_url=response.type_url)
    kept.resources.extend(one for one in response.resources if one.name == _INBOUND)
    return kept


def _marked(response: Response, mark: str) -> Response:
    """A copy in which every chain of the inbound listener that ends TLS has the mark."""
    copy = deepcopy(response)
    bodies = [one.resource for one in copy.resources] if isinstance(copy, DeltaDiscoveryResponse) else copy.resources
    for body in bodies:
        # The name is the first field, so that it need not be parsed to be told apart.
        if body.value.startswith(b"\x0a" + bytes((len(_INBOUND),)) + _INBOUND.encode()):
            listener = Listener.FromString(body.value)
            for chain in (*listener.filter_chains, listener.default_filter_chain):
                _mark(chain, mark)
            body.value = listener.SerializeToString(deterministic=True)
    return copy


def _mark(chain: FilterChain, mark: str) -> None:
    if chain.HasField("transport_socket"):
        chain.metadata.filter_metadata[_KEY]["connections"] = mark
