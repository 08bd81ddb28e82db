"""State-of-the-world requests: what a DiscoveryRequest means for a session.

Each request names everything that the client wants of a type. Source: Envoy's xDS protocol page; the decisions are
istiod's (`ShouldRespond` in pkg/xds/server.go), but for one: the names in a NACK count, because Envoy will not repeat
them.
"""

from __future__ import annotations

from pilotpy.xds.names import interned
from pilotpy.xds.resource_type import BY_URL, CLUSTER, ENDPOINT, ResourceType
from pilotpy.xds.session import Session
from pilotpy.xds.watch import Watch
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest


def receive(session: Session, request: DiscoveryRequest) -> bool:
    """Take in a request of a known type; False if its nonce has expired and nothing came of it.

    Raises `TooManyNames`.
    """
    type_, nonce = BY_URL[request.type_url], request.response_nonce
    watch = session.watches.get(type_.url)
    if request.HasField("error_detail"):
        if watch is not None:
            session.nacked(watch, nonce, request.error_detail.message)
            if nonce == watch.nonce_sent and request.resource_names:
                _resubscribe(watch, request)
        return True
    if not request.resource_names and not type_.wildcard:
        session.unwatch(type_)
        return True
    if watch is None or not nonce:
        _begin(session, type_, request)
        return True
    if nonce != watch.nonce_sent:
        return False
    if watch.expects(nonce):
        session.acked(watch, nonce)
    _resubscribe(watch, request)
    return True


def _begin(session: Session, type_: ResourceType, request: DiscoveryRequest) -> None:
    watch = session.watch(type_)
    watch.names = interned(request.resource_names)
    watch.wildcard = type_.wildcard
    watch.owes_all = True
    endpoints = session.watches.get(ENDPOINT.url)
    if type_ is CLUSTER and endpoints is not None:
        # A client that returns asks for endpoints first and again, without a word of it, after its clusters have
        # come (envoyproxy/envoy#13009).
        endpoints.always_respond = True


def _resubscribe(watch: Watch, request: DiscoveryRequest) -> None:
    before, asked = watch.names, frozenset(request.resource_names)
    if asked != before:
        watch.names = interned(asked)
    added = asked - before
    if watch.always_respond and not request.HasField("error_detail"):
        watch.always_respond = False
        watch.owes_all = True
    elif watch.wildcard and asked != before:
        watch.owes_all = True
    elif added:
        watch.owes = interned((watch.owes | added) & watch.names)
