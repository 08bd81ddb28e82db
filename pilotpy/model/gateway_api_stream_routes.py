"""TLSRoute, TCPRoute and UDPRoute: where connections and datagrams go whose content nobody looks into.

Versions differ: v1 has one rule, and hostnames in every TLSRoute; before it there were up to 16, and hostnames were
optional. What either takes is read.

Source: kubernetes-sigs/gateway-api apis/v1 and apis/v1alpha2, {tls,tcp,udp}route_types.go.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.gateway_api_names import Hostname, SectionName
from pilotpy.model.gateway_api_references import BackendRefs, ParentReferences
from pilotpy.model.message import Declared


class StreamRule(Declared, frozen=True):
    """Where all of it goes."""

    backend_refs: BackendRefs
    name: SectionName = ""


StreamRules = Annotated[tuple[StreamRule, ...], Meta(min_length=1, max_length=16)]


class TLSRoute(Declared, frozen=True):
    """TLS connections, by SNI."""

    rules: StreamRules
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=1024)] = ()  # (): all that its parents serve
    parent_refs: ParentReferences = ()
    use_default_gateways: Literal["All", "None"] | None = None


class TCPRoute(Declared, frozen=True):
    """Connections of any kind, by port."""

    rules: StreamRules
    parent_refs: ParentReferences = ()
    use_default_gateways: Literal["All", "None"] | None = None


class UDPRoute(Declared, frozen=True):
    """Datagrams, by port."""

    rules: StreamRules
    parent_refs: ParentReferences = ()
    use_default_gateways: Literal["All", "None"] | None = None
