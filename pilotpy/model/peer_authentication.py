"""PeerAuthentication: whether inbound connections are mutual TLS.

Source: istio/api security/v1beta1/peer_authentication.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pilotpy.model.message import Message
from pilotpy.model.selector import WorkloadSelector

Mode = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]


class PeerAuthentication(Message, frozen=True):
    """Mutual TLS for workloads, and for some of their ports."""

    selector: WorkloadSelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: Mapping[str, MutualTLS] = {}  # by port number of the workload, as text


class MutualTLS(Message, frozen=True):
    """The mode of mutual TLS."""

    mode: Mode = "UNSET"
