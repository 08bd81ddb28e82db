"""A debug page of a control plane over ADS, as istioctl asks: on the port that knows who asks, from anywhere.

One request of type ``istio.io/debug``, whose name is the page, and one response, whose value is the page's JSON.
Source: istioctl/pkg/multixds and DebugGen in pilot/pkg/xds of istio/istio.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Final

import grpc

from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

_METHOD: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_URL: Final = "istio.io/debug"
_NAME: Final = "istiod.istio-system.svc"  # one that every certificate of a control plane has
_LARGEST: Final = 256 << 20
_PATIENCE: Final = timedelta(seconds=60)


def xds_page(address: str, page: str, token: str, roots: bytes, name: str = _NAME) -> str:
    """Return a page, such as "syncz?namespace=a". ``name``: the control plane's own. Raises ``OSError``."""
    namespace, account = _who(token)
    request = DiscoveryRequest(type_url=_URL, resource_names=[page])
    request.node.id = f"sidecar~0.0.0.0~pilotpy.{namespace}~{namespace}.svc.cluster.local"
    request.node.metadata.update({"GENERATOR": "event", "NAMESPACE": namespace, "SERVICE_ACCOUNT": account})
    options = [("grpc.ssl_target_name_override", name), ("grpc.max_receive_message_length", _LARGEST)]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options) as channel:
        stream = channel.stream_stream(
            _METHOD,
            request_serializer=DiscoveryRequest.SerializeToString,
            response_deserializer=DiscoveryResponse.FromString,
        )
        shown = (("authorization", f"Bearer {token}"),)
        call = stream(iter([request]), timeout=_PATIENCE.total_seconds(), metadata=shown)
        try:
            found: bytes | None = next((one.value for response in call for one in response.resources), None)
        except grpc.RpcError:
            raise OSError(f"{address}: {call.details()}") from None
    if found is None:
        raise OSError(f"{address}: the control plane hung up without an answer")
    return found.decode()


def _who(token: str) -> tuple[str, str]:
    """Whose token it is, by its own words: a namespace and a service account. Raises ``OSError``."""
    try:
        body = token.split(".")[1]
        subject = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"]
        _, _, namespace, account = subject.split(":")
    except (IndexError, KeyError, TypeError, ValueError):
        raise OSError("the token is not that of a service account") from None
    return namespace, account
