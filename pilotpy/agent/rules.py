"""From what to capture to netfilter rules: ``Capture`` to tables of lines as iptables-restore reads them.

Pure; ``capture.py`` brings them into the kernel. Order is meaning here: the first rule that matches decides.

Source  istio/istio ``tools/istio-iptables`` (flags, chains and their order); what each chain is for:
        ISTIO_INBOUND       what comes in from outside the pod
        ISTIO_IN_REDIRECT   into Envoy's inbound port
        ISTIO_OUTPUT        what the pod's processes send
        ISTIO_REDIRECT      into Envoy's outbound port
        ISTIO_OUTPUT_DNS    questions to name servers, into the agent
        ISTIO_TPROXY, ISTIO_DIVERT, ISTIO_DROP   inbound without changing addresses; packets of no connection
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain
from typing import NamedTuple

from pilotpy.agent.traffic_capture import ALL, Capture, Family, Mode

AGENT_DNS_PORT = 15053
OUTBOUND_MARK = 1338
"""Marks, under TPROXY, what Envoy sends to its own pod's address: that goes through Envoy's inbound side once more."""


class Rule(NamedTuple):
    """One rule; ``position`` counts from 1 where it is inserted, None where it is appended."""

    table: str
    chain: str
    spec: str
    position: int | None = None

    @property
    def in_own_chain(self) -> bool:
        """In a chain that exists only for capture."""
        return self.chain.startswith("ISTIO_")

    def __str__(self) -> str:
        command = f"-A {self.chain}" if self.position is None else f"-I {self.chain} {self.position}"
        return f"{command} {self.spec}"


def rules(capture: Capture, family: Family) -> tuple[Rule, ...]:
    """Every rule, in the order in which they are to be made. Empty for a family that is off."""
    if family is Family.V6 and not capture.ipv6:
        return ()
    return tuple(
        chain.from_iterable(part(capture, family) for part in _PARTS),
    )


def tables(made: Iterable[Rule]) -> dict[str, list[str]]:
    """Lines per table, sorted by table: chains first (with rules, then those only jumped to), then the rules."""
    made = tuple(made)
    with_rules = [(rule.table, rule.chain) for rule in made]
    jumped_to = [(rule.table, rule.spec.rsplit("-j ", 1)[1]) for rule in made if " -j ISTIO_" in f" {rule.spec}"]
    lines: dict[str, list[str]] = {}
    for table, name in dict.fromkeys(with_rules + jumped_to):
        if name.startswith("ISTIO_"):
            lines.setdefault(table, []).append(f"-N {name}")
    for rule in made:
        lines.setdefault(rule.table, []).append(str(rule))
    return dict(sorted(lines.items()))


def restore_text(lines: dict[str, list[str]]) -> str:
    """What iptables-restore reads; empty without lines."""
    return "".join(f"* {table}\n" + "".join(f"{line}\n" for line in of) + "COMMIT\n" for table, of in lines.items())


def _excluded_interfaces(capture: Capture, _family: Family) -> Iterator[Rule]:
    for table in ("nat", "mangle") if capture.mode is Mode.TPROXY else ("nat",):
        for name in capture.interfaces_excluded:
            yield Rule(table, "PREROUTING", f"-i {name} -j RETURN")
            yield Rule(table, "OUTPUT", f"-o {name} -j RETURN")


def _virtual_interfaces(capture: Capture, _family: Family) -> Iterator[Rule]:
    for name in capture.virtual_interfaces:
        yield Rule("nat", "PREROUTING", f"-i {name} -j RETURN", 1)


def _invalid_packets(capture: Capture, _family: Family) -> Iterator[Rule]:
    # A packet outside its connection's window would make the kernel reset a connection that it knows nothing of.
    if capture.drop_invalid:
        yield Rule("mangle", "PREROUTING", "-m conntrack --ctstate INVALID -j ISTIO_DROP")
        yield Rule("mangle", "ISTIO_DROP", "-j DROP")


def _redirections(capture: Capture, _family: Family) -> Iterator[Rule]:
    yield Rule("nat", "ISTIO_INBOUND", f"-p tcp --dport {capture.tunnel_port} -j RETURN")
    yield Rule("nat", "ISTIO_REDIRECT", f"-p tcp -j REDIRECT --to-ports {capture.outbound_port}")
    yield Rule("nat", "ISTIO_IN_REDIRECT", f"-p tcp -j REDIRECT --to-ports {capture.inbound_port}")


def _inbound(capture: Capture, family: Family) -> Iterator[Rule]:
    if not capture.inbound_ports:
        return
    tproxy = capture.mode is Mode.TPROXY
    table = "mangle" if tproxy else "nat"
    if tproxy:
        yield Rule("mangle", "ISTIO_DIVERT", f"-j MARK --set-mark {capture.tproxy_mark}")
        yield Rule("mangle", "ISTIO_DIVERT", "-j ACCEPT")
        yield Rule(
            "mangle",
            "ISTIO_TPROXY",
            f"! -d {_loopback(capture, family)} -p tcp -j TPROXY"
            f" --tproxy-mark {capture.tproxy_mark}/0xffffffff --on-port {capture.inbound_port}",
        )
    yield Rule(table, "PREROUTING", "-p tcp -j ISTIO_INBOUND")
    everything = capture.inbound_ports == (ALL,)
    if everything:
        for port in capture.inbound_ports_excluded:
            yield Rule(table, "ISTIO_INBOUND", f"-p tcp --dport {port} -j RETURN")
    for match in ["-p tcp"] if everything else [f"-p tcp --dport {port}" for port in capture.inbound_ports]:
        if tproxy:
            known = "-m conntrack --ctstate RELATED,ESTABLISHED"
            yield Rule("mangle", "ISTIO_INBOUND", f"{match} {known} -j ISTIO_DIVERT")
            yield Rule("mangle", "ISTIO_INBOUND", f"{match} -j ISTIO_TPROXY")
        else:
            yield Rule("nat", "ISTIO_INBOUND", f"{match} -j ISTIO_IN_REDIRECT")


def _excluded_outbound_ports(capture: Capture, _family: Family) -> Iterator[Rule]:
    yield Rule("nat", "OUTPUT", "-j ISTIO_OUTPUT")
    for port in capture.outbound_ports_excluded:
        yield Rule("nat", "ISTIO_OUTPUT", f"-p tcp --dport {port} -j RETURN")
        yield Rule("nat", "ISTIO_OUTPUT", f"-p udp --dport {port} -j RETURN")


def _own_traffic(capture: Capture, family: Family) -> Iterator[Rule]:
    """Envoy's own traffic leaves untouched, but for what it sends to its own pod through a service's address."""
    yield Rule("nat", "ISTIO_OUTPUT", f"-o lo -s {family.inbound_source} -j RETURN")
    to_self = f"-o lo ! -d {_loopback(capture, family)} -p tcp"
    # An application's call to its own address stays direct, unless the user wants loopback captured; a name
    # server on loopback is still asked through the agent.
    direct_to_self = not any(network.is_loopback for network in _networks(capture.outbound_ranges))
    for owner in _owners(capture):
        # The agent's own questions over TCP must not come back through Envoy; it runs under Envoy's user.
        not_for_agent = (
            f"-m multiport ! --dports 53,{capture.tunnel_port}"
            if capture.captures_dns and owner.user
            else f"! --dport {capture.tunnel_port}"
        )
        yield Rule("nat", "ISTIO_OUTPUT", f"{to_self} {not_for_agent} {owner.is_} -j ISTIO_IN_REDIRECT")
        if direct_to_self:
            questions = " -p tcp ! --dport 53" if capture.captures_dns else ""
            yield Rule("nat", "ISTIO_OUTPUT", f"-o lo{questions} {owner.is_not} -j RETURN")
        yield Rule("nat", "ISTIO_OUTPUT", f"{owner.is_} -j RETURN")


def _groups(capture: Capture, _family: Family) -> Iterator[Rule]:
    if capture.groups == (ALL,):
        for group in capture.groups_excluded:
            yield Rule("nat", "ISTIO_OUTPUT", f"-m owner --gid-owner {group} -j RETURN")
    else:
        none_of = " ".join(f"-m owner ! --gid-owner {group}" for group in capture.groups)
        yield Rule("nat", "ISTIO_OUTPUT", f"{none_of} -j RETURN")


def _dns(capture: Capture, family: Family) -> Iterator[Rule]:
    if not capture.captures_dns:
        return
    servers = [str(net) for net in _networks(capture.dns_servers) if net.version == family.version]
    yield Rule("raw", "OUTPUT", "-j ISTIO_OUTPUT_DNS")
    to_servers = ["--dport 53"] if capture.all_dns else [f"--dport 53 -d {server}" for server in servers]
    if to_servers:
        yield Rule("nat", "ISTIO_OUTPUT", "-j ISTIO_OUTPUT_DNS")
    for protocol, target in (("tcp", "--to-ports"), ("udp", "--to-port")):
        for match in to_servers:
            redirect = f"-j REDIRECT {target} {AGENT_DNS_PORT}"
            yield Rule("nat", "ISTIO_OUTPUT_DNS", f"-p {protocol} {match} {redirect}")
    # Two zones keep the application's question and the agent's own, the same five-tuple, apart in conntrack.
    for owner in _owners(capture):
        yield Rule("raw", "ISTIO_OUTPUT_DNS", f"-p udp --dport 53 {owner.is_} -j CT --zone 1")
        yield Rule("raw", "ISTIO_OUTPUT_DNS", f"-p udp --sport {AGENT_DNS_PORT} {owner.is_} -j CT --zone 2")
    if to_servers:
        yield Rule("raw", "PREROUTING", "-j ISTIO_INBOUND")
    for server in [""] if capture.all_dns else servers:
        to, back = (f" -d {server}", f" -s {server}") if server else ("", "")
        yield Rule("raw", "ISTIO_OUTPUT_DNS", f"-p udp --dport 53{to} -j CT --zone 2")
        yield Rule("raw", "ISTIO_INBOUND", f"-p udp --sport 53{back} -j CT --zone 1")


def _outbound(capture: Capture, family: Family) -> Iterator[Rule]:
    yield Rule("nat", "ISTIO_OUTPUT", f"-d {_loopback(capture, family)} -j RETURN")
    for network in _networks(capture.outbound_ranges_excluded):
        if network.version == family.version:
            yield Rule("nat", "ISTIO_OUTPUT", f"-d {network} -j RETURN")
    for port in capture.outbound_ports:
        yield Rule("nat", "ISTIO_OUTPUT", f"-p tcp --dport {port} -j ISTIO_REDIRECT")
    if capture.outbound_ranges == (ALL,):
        yield Rule("nat", "ISTIO_OUTPUT", "-j ISTIO_REDIRECT")
        for name in capture.virtual_interfaces:
            yield Rule("nat", "PREROUTING", f"-i {name} -j ISTIO_REDIRECT", 1)
        return
    for network in _networks(capture.outbound_ranges):
        if network.version == family.version:
            for name in capture.virtual_interfaces:
                yield Rule("nat", "PREROUTING", f"-i {name} -d {network} -j ISTIO_REDIRECT", 1)
            yield Rule("nat", "ISTIO_OUTPUT", f"-d {network} -j ISTIO_REDIRECT")


def _tproxy(capture: Capture, family: Family) -> Iterator[Rule]:
    if capture.mode is not Mode.TPROXY:
        return
    mark = f"--mark {capture.tproxy_mark}"
    # What Envoy sends to the application, under the client's address, is Envoy's own and goes over loopback: the rule
    # that sends such packets to its inbound port would have them go round in circles.
    if capture.leave_marked:
        yield Rule("nat", "OUTPUT", f"-p tcp -m mark {mark} -j RETURN", 1)
    # The mark that Envoy puts on its packets to the application is kept for the answers, which are routed by it.
    yield Rule("mangle", "PREROUTING", f"-p tcp -m mark {mark} -j CONNMARK --save-mark")
    yield Rule("mangle", "OUTPUT", f"-p tcp -o lo -m mark {mark} -j RETURN")
    for owner in _owners(capture):
        to_self = f"! -d {_loopback(capture, family)} -p tcp -o lo {owner.is_}"
        yield Rule("mangle", "OUTPUT", f"{to_self} -j MARK --set-mark {OUTBOUND_MARK}")
    yield Rule("mangle", "OUTPUT", f"-p tcp -m connmark {mark} -j CONNMARK --restore-mark")
    yield Rule("mangle", "ISTIO_INBOUND", f"-p tcp -m mark {mark} -j RETURN", 1)
    yield Rule("mangle", "ISTIO_INBOUND", f"-p tcp -s {family.inbound_source} -i lo -j RETURN", 2)
    yield Rule("mangle", "ISTIO_INBOUND", f"-p tcp -i lo -m mark ! --mark {OUTBOUND_MARK} -j RETURN", 3)


def _client_address(capture: Capture, _family: Family) -> Iterator[Rule]:
    """Under REDIRECT, what lets Envoy speak to the application from the client's address; TPROXY does so already."""
    if capture.mode is Mode.TPROXY or not capture.client_address:
        return
    mark = f"--mark {capture.tproxy_mark}"
    yield Rule("nat", "OUTPUT", f"-p tcp -m mark {mark} -j RETURN", 1)
    yield Rule("mangle", "PREROUTING", f"-p tcp -m mark {mark} -j CONNMARK --save-mark")
    yield Rule("mangle", "OUTPUT", f"-p tcp -m connmark {mark} -j CONNMARK --restore-mark")


_PARTS = (
    _excluded_interfaces,
    _virtual_interfaces,
    _invalid_packets,
    _redirections,
    _inbound,
    _excluded_outbound_ports,
    _own_traffic,
    _groups,
    _dns,
    _outbound,
    _tproxy,
    _client_address,
)


class _Owner(NamedTuple):
    """How a rule tells Envoy's packets from others'."""

    is_: str
    is_not: str
    user: bool


def _owners(capture: Capture) -> Iterator[_Owner]:
    for uid in capture.uids:
        yield _Owner(f"-m owner --uid-owner {uid}", f"-m owner ! --uid-owner {uid}", user=True)
    for gid in capture.gids:
        yield _Owner(f"-m owner --gid-owner {gid}", f"-m owner ! --gid-owner {gid}", user=False)
    for mark in capture.marks:
        yield _Owner(f"-m mark --mark {mark}", f"-m mark ! --mark {mark}", user=True)


def _loopback(capture: Capture, family: Family) -> str:
    return capture.loopback if family is Family.V4 else "::1/128"


def _networks(ranges: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """As networks; an address alone is a network of one. Raises ValueError for what is neither."""
    return [ip_network(text, strict=False) for text in ranges if text != ALL]
