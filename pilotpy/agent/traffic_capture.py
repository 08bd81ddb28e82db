"""Which traffic of a pod goes through its Envoy, as `rules.py` turns it into netfilter rules.

Source  istio/istio ``tools/istio-iptables`` (flags).
"""

from __future__ import annotations

from enum import Enum

import msgspec

ALL = "*"


class Family(Enum):
    """An IP version, with the addresses that differ between the two."""

    V4 = ("v4", 4, "127.0.0.6/32", 32)
    V6 = ("v6", 6, "::6/128", 128)

    def __init__(self, label: str, version: int, inbound_source: str, host_bits: int) -> None:
        self.label = label
        self.version = version
        self.inbound_source = inbound_source  # what Envoy's inbound passthrough connects from
        self.host_bits = host_bits


class Mode(Enum):
    """How inbound connections reach Envoy."""

    REDIRECT = "REDIRECT"  # the destination is rewritten
    TPROXY = "TPROXY"  # addresses stay, the application may see the client's


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """Which traffic of a pod goes through its Envoy. Lists keep their order; ``("*",)`` means all."""

    outbound_port: int = 15001
    inbound_port: int = 15006
    tunnel_port: int = 15008
    uids: tuple[str, ...] = ("1337",)  # whose traffic is Envoy's own
    gids: tuple[str, ...] = ("1337",)
    marks: tuple[int, ...] = ()  # packets with one of these are Envoy's own too: for hosts with a single user
    mode: Mode = Mode.REDIRECT
    inbound_ports: tuple[str, ...] = ()
    inbound_ports_excluded: tuple[str, ...] = ()  # read only where all are captured
    outbound_ports: tuple[str, ...] = ()
    outbound_ports_excluded: tuple[str, ...] = ()
    outbound_ranges: tuple[str, ...] = ()  # CIDRs
    outbound_ranges_excluded: tuple[str, ...] = ()
    groups: tuple[str, ...] = (ALL,)  # whose outbound traffic is captured
    groups_excluded: tuple[str, ...] = ()
    interfaces_excluded: tuple[str, ...] = ()
    virtual_interfaces: tuple[str, ...] = ()  # of virtual machines: what comes in there counts as outbound
    tproxy_mark: int = 1337
    tproxy_table: int = 133
    leave_marked: bool = False  # see _tproxy; Istio's own rules lack it
    client_address: bool = False  # under REDIRECT too the application sees its client's; Istio's own rules lack it
    loopback: str = "127.0.0.1/32"  # v4 only
    redirect_dns: bool = False
    all_dns: bool = False  # whatever server it is for
    dns_servers: tuple[str, ...] = ()
    drop_invalid: bool = False
    ipv6: bool = False

    @property
    def captures_dns(self) -> bool:
        """Wanted, and it is known which packets are meant."""
        return self.redirect_dns and (self.all_dns or bool(self.dns_servers))
