"""From istio-iptables' flags and environment to a ``Capture``.

Each flag may also be given as the variable of its name (``--proxy-uid``: ``PROXY_UID``); the flag wins. What depends
on the machine (IPv6, name servers) is told by ``Machine`` and may be overruled by two flags of ours.

Source  istio/istio ``tools/istio-iptables/pkg/cmd/root.go``, ``tools/common/config/config.go``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from pilotpy.agent.traffic_capture import ALL, Capture, Mode

_FORMS: Final = ("text", "json")
_PORT: Final = re.compile(r"\d{1,5}(:\d{1,5})?")  # or a range, as iptables' --dport takes it


class Machine(NamedTuple):
    """What the flags do not say."""

    ipv4: bool = False  # the pod has such an address, besides loopback
    ipv6: bool = False
    name_servers: tuple[str, ...] = ()
    proxy_uid: str = "1337"  # of the user that Envoy runs as


class Order(NamedTuple):
    """What the command line asks for."""

    capture: Capture
    apply: bool = True  # False: neither make nor remove rules
    clean: bool = False  # remove what is there, make nothing
    dry_run: bool = False
    output: str = "text"  # of a dry run: text or json


class _PortsOrForm(argparse.Action):
    """``-o`` is istio-iptables' letter for ports and everybody's for a form; no port is called "json"."""

    def __call__(self, _: object, namespace: argparse.Namespace, values: Any, __: str | None = None) -> None:
        setattr(namespace, "output" if values in _FORMS else self.dest, values)


class _Flag(NamedTuple):
    name: str
    letter: str
    default: str
    text: str
    also: str = ""  # another variable that sets it


_FLAGS = (
    _Flag("envoy-port", "p", "15001", "Envoy's port for outbound TCP"),
    _Flag("inbound-capture-port", "z", "15006", "Envoy's port for inbound TCP"),
    _Flag("inbound-tunnel-port", "e", "15008", "Envoy's port for tunnels; never redirected"),
    _Flag("proxy-uid", "u", "", "users whose traffic is Envoy's own"),
    _Flag("proxy-gid", "g", "", "groups whose traffic is Envoy's own (default: as --proxy-uid)"),
    _Flag("istio-inbound-interception-mode", "m", "REDIRECT", "REDIRECT, TPROXY or NONE", "INBOUND_INTERCEPTION_MODE"),
    _Flag("istio-inbound-ports", "b", "", "inbound ports to capture, * for all; empty: none"),
    _Flag("istio-local-exclude-ports", "d", "", "inbound ports to leave alone where all are captured"),
    _Flag("istio-exclude-interfaces", "c", "", "network interfaces to leave alone"),
    _Flag("istio-service-cidr", "i", "", "outbound ranges to capture, * for all; empty: none"),
    _Flag("istio-service-exclude-cidr", "x", "", "outbound ranges to leave alone"),
    _Flag("istio-outbound-ports", "q", "", "outbound ports to capture whatever the range"),
    _Flag("istio-local-outbound-ports-exclude", "o", "", "outbound ports to leave alone; -o text|json: as --output"),
    _Flag("kube-virt-interfaces", "k", "", "interfaces of virtual machines: what comes in there is outbound"),
    _Flag("istio-inbound-tproxy-mark", "t", "1337", "packet mark of TPROXY", "INBOUND_TPROXY_MARK"),
    _Flag("istio-inbound-tproxy-route-table", "r", "133", "routing table of TPROXY"),
)
_SWITCHES = (
    _Flag("dry-run", "n", "", "show the rules, touch nothing"),
    _Flag("skip-rule-apply", "", "", "make no rules"),
    _Flag("redirect-dns", "", "", "capture questions to name servers", "ISTIO_META_DNS_CAPTURE"),
    _Flag("capture-all-dns", "", "", "with --redirect-dns: to whatever name server"),
    _Flag("drop-invalid", "", "", "drop packets of no known connection", "INVALID_DROP"),
    _Flag("dual-stack", "", "", "IPv6 rules for a pod with addresses of both versions", "ISTIO_DUAL_STACK"),
    _Flag("cleanup-only", "", "", "remove the rules"),
    # What these two ask for is always so here: rules found are replaced, in the transaction that makes the new ones.
    _Flag("reconcile", "", "", "accepted: rules that differ are always replaced"),
    _Flag("force-apply", "", "", "accepted: rules are always made anew"),
)


def order(arguments: Sequence[str], environment: Mapping[str, str], machine: Machine) -> Order:
    """What is asked for. Raises argparse.ArgumentError with a sentence for a flag or value that cannot be."""
    known, unknown = _parser().parse_known_args(arguments)
    if unknown:
        raise argparse.ArgumentError(None, f"there is no {unknown[0]}")
    given = vars(known)

    def text(flag: _Flag) -> str:
        variables = [name for name in (_variable(flag.name), flag.also) if name in environment]
        value = given[_dest(flag.name)]
        return value if value is not None else environment[variables[0]] if variables else flag.default

    texts = {flag.name: text(flag).strip() for flag in _FLAGS}
    on = {flag.name: _truth(text(flag)) for flag in _SWITCHES}
    uids = _items(texts["proxy-uid"]) or (machine.proxy_uid,)
    servers = given["dns_servers"]
    mode = texts["istio-inbound-interception-mode"] or "REDIRECT"
    nothing = mode == "NONE"  # Envoy is spoken to directly, so what an earlier capture left must go
    try:
        capture = Capture(
            outbound_port=int(texts["envoy-port"]),
            inbound_port=int(texts["inbound-capture-port"]),
            tunnel_port=int(texts["inbound-tunnel-port"]),
            uids=uids,
            gids=_items(texts["proxy-gid"]) or uids,
            marks=tuple(int(mark) for mark in _items(given["proxy_mark"])),
            mode=Mode.TPROXY if nothing else Mode(mode),  # whose traces are all that there can be
            inbound_ports=_ports(texts["istio-inbound-ports"]),
            inbound_ports_excluded=_ports(texts["istio-local-exclude-ports"], may_be_all=False),
            outbound_ports=_ports(texts["istio-outbound-ports"]),
            outbound_ports_excluded=_ports(texts["istio-local-outbound-ports-exclude"], may_be_all=False),
            outbound_ranges=_ranges(texts["istio-service-cidr"]),
            outbound_ranges_excluded=_ranges(texts["istio-service-exclude-cidr"], may_be_all=False),
            groups=_items(environment.get("ISTIO_OUTBOUND_OWNER_GROUPS", ALL)) or (ALL,),
            groups_excluded=_items(environment.get("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "")),
            interfaces_excluded=_items(texts["istio-exclude-interfaces"]),
            virtual_interfaces=_items(texts["kube-virt-interfaces"]),
            tproxy_mark=int(texts["istio-inbound-tproxy-mark"]),
            tproxy_table=int(texts["istio-inbound-tproxy-route-table"]),
            leave_marked=nothing,
            loopback=environment.get("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1/32"),
            redirect_dns=on["redirect-dns"],
            all_dns=on["capture-all-dns"],
            dns_servers=machine.name_servers if servers is None else _ranges(servers, may_be_all=False),
            drop_invalid=on["drop-invalid"],
            ipv6=_ipv6(machine, dual_stack=on["dual-stack"]) if given["ipv6"] is None else _truth(given["ipv6"]),
        )
        ip_network(capture.loopback, strict=False)
    except ValueError as wrong:
        raise argparse.ArgumentError(None, str(wrong)) from wrong
    if ALL not in capture.groups and capture.groups_excluded:
        raise argparse.ArgumentError(None, "groups are either included or excluded, not both")
    return Order(
        capture=capture,
        apply=not on["skip-rule-apply"],
        clean=on["cleanup-only"] or given["clean"] or nothing,
        dry_run=on["dry-run"],
        output=given["output"],
    )


def help_text() -> str:
    """What ``--help`` shows."""
    return _parser().format_help()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pilotpy agent capture", add_help=False, exit_on_error=False, allow_abbrev=False
    )
    for flag in _FLAGS:
        action: Any = _PortsOrForm if flag.letter == "o" else "store"
        parser.add_argument(*_names(flag), dest=_dest(flag.name), action=action, metavar="X", help=flag.text)
    for flag in _SWITCHES:
        parser.add_argument(
            *_names(flag), dest=_dest(flag.name), nargs="?", const="true", metavar="true|false", help=flag.text
        )
    ours = parser.add_argument_group("not in istio-iptables")
    ours.add_argument("--clean", action="store_true", help="as --cleanup-only")
    ours.add_argument("--output", choices=_FORMS, default="text", help="of a dry run")
    ours.add_argument("--proxy-mark", default="", metavar="X", help="packet marks that are Envoy's own as well")
    ours.add_argument("--ipv6", nargs="?", const="true", metavar="true|false", help="default: as the pod's addresses")
    ours.add_argument("--dns-servers", metavar="X", help="default: those of /etc/resolv.conf")
    return parser


def _names(flag: _Flag) -> tuple[str, ...]:
    return (f"-{flag.letter}", f"--{flag.name}") if flag.letter else (f"--{flag.name}",)


def _dest(name: str) -> str:
    return name.replace("-", "_")


def _variable(name: str) -> str:
    return _dest(name).upper()


def _ipv6(machine: Machine, *, dual_stack: bool) -> bool:
    return machine.ipv6 and (dual_stack or not machine.ipv4)


def _truth(text: str) -> bool:
    return text.lower() in {"true", "t", "1"}


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _ports(text: str, *, may_be_all: bool = True) -> tuple[str, ...]:
    items = _items(text)
    if items == (ALL,) and may_be_all:
        return items
    for item in items:
        if not _PORT.fullmatch(item) or any(int(number) > 65535 for number in item.split(":")):
            raise ValueError(f"{item!r} is not a port")
    return items


def _ranges(text: str, *, may_be_all: bool = True) -> tuple[str, ...]:
    items = _items(text)
    if items == (ALL,) and may_be_all:
        return items
    for item in items:
        ip_network(item, strict=False)  # says what is wrong with it
    return items
