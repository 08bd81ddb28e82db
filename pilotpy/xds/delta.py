"""Incremental requests: what a DeltaDiscoveryRequest means for a session.

Each request changes what the client wants of a type. Source: Envoy's xDS protocol page ("Incremental xDS"); the
decisions are istiod's (pilot/pkg/xds/delta.go), but for two: a request's changes of names count even beside a NACK or
beside the late ACK of an earlier response of ours, because Envoy will not repeat them; and clusters asked for by name
are given by name.
"""

from __future__ import annotations

from pilotpy.xds.names import interned
from pilotpy.xds.resource_type import BY_URL, CLUSTER, ENDPOINT, ResourceType
from pilotpy.xds.session import Session
from pilotpy.xds.watch import Watch
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

_ALL = "*"


def receive(session: Session, request: DeltaDiscoveryRequest) -> bool:
    """Take in a request of a known type; False if its nonce is none of ours and nothing came of it.

    Raises `TooManyNames`.
    """
    type_, nonce = BY_URL[request.type_url], request.response_nonce
    watch = session.watches.get(type_.url)
    if request.HasField("error_detail"):
        if watch is not None:
            session.nacked(watch, nonce, request.error_detail.message)
            _resubscribe(watch, request)
        return True
    if watch is None:
        _begin(session, type_, request)
        return True
    if nonce and nonce != watch.nonce_sent and not watch.expects(nonce):
        return False
    if watch.expects(nonce):
        session.acked(watch, nonce)
    _resubscribe(watch, request)
    return True


def _begin(session: Session, type_: ResourceType, request: DeltaDiscoveryRequest) -> None:
    watch = session.watch(type_)
    subscribed = set(request.resource_names_subscribe)
    held = request.initial_resource_versions
    watch.names = interned({*subscribed, *held}.difference(request.resource_names_unsubscribe, (_ALL,)))
    watch.wildcard = type_.wildcard and (_ALL in subscribed or not subscribed)
    if type_ is not ENDPOINT or CLUSTER.url not in session.watches:
        # A cluster that the client was building when the last stream broke waits for endpoints that it had been
        # sent for the cluster before it: to whom asks for clusters, endpoints are sent whatever it says it holds.
        watch.versions = dict(held)
    watch.owes_all = True


def _resubscribe(watch: Watch, request: DeltaDiscoveryRequest) -> None:
    subscribed, unsubscribed = set(request.resource_names_subscribe), set(request.resource_names_unsubscribe)
    if not (subscribed or unsubscribed or request.initial_resource_versions):
        return
    before = watch.names
    watch.names = interned((before | subscribed | request.initial_resource_versions.keys()) - unsubscribed - {_ALL})
    if _ALL in unsubscribed:
        watch.wildcard = False
    if _ALL in subscribed and watch.type.wildcard and not watch.wildcard:
        watch.wildcard = watch.owes_all = True
    # Who watches all and drops a name must be told whether it still has the resource.
    asked = (before ^ watch.names) if watch.wildcard else (watch.names - before)
    watch.owes = interned((watch.owes - unsubscribed) | asked)
