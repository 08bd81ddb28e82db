"""From a ``Capture`` to rules in the kernel: made, replaced or removed in one transaction per table and IP version.

Works on the network namespace that the calling thread is in. Needs iptables-restore, iptables-save and iptables (and
their ip6tables kin where IPv6 is on); the ip command for TPROXY and IPv6.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from pilotpy.agent.capture_flags import Machine, Order
from pilotpy.agent.rules import Rule, restore_text, rules, tables
from pilotpy.agent.traffic_capture import Capture, Family, Mode

_PROGRAMS = {Family.V4: "iptables", Family.V6: "ip6tables"}
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where the system's programs are; users' PATH often lacks some of it."""


class CaptureFailed(Exception):
    """A program that sets up traffic capture refused; holds its own words."""


def run(order: Order) -> str:
    """Do what the command line asked for. Returns what to print; empty when rules were really made."""
    if order.dry_run:
        return dry_run(None if order.clean else order.capture, order.output)
    if order.clean:
        clean(order.capture)
    elif order.apply:
        apply(order.capture)
    return ""


def dry_run(capture: Capture | None, output: str = "text") -> str:
    """What iptables-restore would be given to make the rules of a capture, or of none.

    As json: one text for ``v4`` and one for ``v6``, empty if off.
    """
    texts = {
        family.label: restore_text(tables(rules(capture, family) if capture is not None else ())) for family in Family
    }
    return json.dumps(texts) if output == "json" else "".join(texts.values())


def apply(capture: Capture) -> None:
    """Make the rules; whatever capture there was before is replaced. Raises CaptureFailed, having changed nothing."""
    for family in _families(capture):
        made = rules(capture, family)
        _restore(family, _merged(_removal(family, made), tables(made)))
        _routes(capture, family)


def clean(capture: Capture) -> None:
    """Remove every chain of a capture, and of the other rules those that ``capture`` would make."""
    for family in _families(capture):
        _restore(family, _removal(family, rules(capture, family)))
        _remove_routes(capture, family)


def this_machine() -> Machine:
    """Its addresses, name servers as in /etc/resolv.conf, Envoy's user by its name."""
    try:
        uid = str(pwd.getpwnam(os.environ.get("ENVOY_USER", "istio-proxy")).pw_uid)
    except KeyError:
        uid = "1337"
    resolver = Path("/etc/resolv.conf")
    lines = resolver.read_text().splitlines() if resolver.exists() else []
    servers = [words[1] for words in map(str.split, lines) if words[:1] == ["nameserver"] and len(words) > 1]
    addresses = _output("ip", "-o", "addr", "show", "scope", "global").split()
    return Machine(ipv4="inet" in addresses, ipv6="inet6" in addresses, name_servers=tuple(servers), proxy_uid=uid)


def _families(capture: Capture) -> list[Family]:
    return [Family.V4, Family.V6] if capture.ipv6 else [Family.V4]


def _removal(family: Family, made: Iterable[Rule]) -> dict[str, list[str]]:
    """Lines per table that take out what a capture left in the kernel."""
    jumps: dict[str, list[str]] = {}
    chains: dict[str, list[str]] = {}
    table = ""
    for line in _output(f"{_PROGRAMS[family]}-save").splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":ISTIO_"):
            chains.setdefault(table, []).append(words[0][1:])
        elif words[:1] == ["-A"] and not words[1].startswith("ISTIO_") and "-j ISTIO_" in line:
            jumps.setdefault(table, []).append("-D" + line[2:])
    # A rule of ours that jumps into no chain of ours cannot be told from others by its look: ask whether it is there.
    for rule in made:
        if not rule.in_own_chain and "-j ISTIO_" not in rule.spec and _is_there(family, rule):
            jumps.setdefault(rule.table, []).append(f"-D {rule.chain} {rule.spec}")
    return {
        table: [
            *jumps.get(table, ()),
            *(f"-F {name}" for name in chains.get(table, ())),
            *(f"-X {name}" for name in chains.get(table, ())),
        ]
        for table in jumps | chains
    }


def _is_there(family: Family, rule: Rule) -> bool:
    check = [_PROGRAMS[family], "-w", "-t", rule.table, "-C", rule.chain, *rule.spec.split()]
    ran = subprocess.run(check, capture_output=True, check=False, env=_environment())  # noqa: S603 - as in _ran
    return ran.returncode == 0


def _merged(first: dict[str, list[str]], then: dict[str, list[str]]) -> dict[str, list[str]]:
    return {table: [*first.get(table, ()), *then.get(table, ())] for table in sorted(first | then)}


def _restore(family: Family, lines: dict[str, list[str]]) -> None:
    if lines:
        _output(f"{_PROGRAMS[family]}-restore", "--noflush", "-w", given=restore_text(lines))


def _routes(capture: Capture, family: Family) -> None:
    """What rules alone cannot do: marked packets to loopback under TPROXY, a second loopback address under IPv6."""
    if family is Family.V6 and not _output("ip", "-6", "addr", "show", "dev", "lo", "to", "::6/128"):
        _output("ip", "-6", "addr", "add", "::6/128", "dev", "lo")
    if (capture.mode is Mode.TPROXY or capture.client_address) and capture.inbound_ports:
        _remove_routes(capture, family)
        version, table = f"-{family.version}", str(capture.tproxy_table)
        _output("ip", version, "rule", "add", "fwmark", str(capture.tproxy_mark), "lookup", table)
        _output("ip", version, "route", "replace", "local", "default", "dev", "lo", "table", table)


def _remove_routes(capture: Capture, family: Family) -> None:
    version, table, mark = f"-{family.version}", str(capture.tproxy_table), str(capture.tproxy_mark)
    if _output("ip", version, "rule", "show", "fwmark", mark, "lookup", table):
        _output("ip", version, "rule", "del", "fwmark", mark, "lookup", table)
        _output("ip", version, "route", "flush", "table", table)


def _output(*command: str, given: str = "") -> str:
    return _ran(command, given).stdout


def _ran(command: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
    try:
        ran = subprocess.run(  # noqa: S603 - fixed programs; flags and rules are arguments and input, never a shell's
            command, input=given, capture_output=True, text=True, check=False, env=_environment()
        )
    except FileNotFoundError as missing:
        raise CaptureFailed(f"{command[0]} is not installed") from missing
    if ran.returncode:
        raise CaptureFailed(f"{' '.join(command)}: {ran.stderr.strip()}")
    return ran


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": SYSTEM_PATH}
