"""Istio's own cases of its sidecar capture, and what only we have."""

import argparse
import json
from pathlib import Path

import pytest

from pilotpy.agent.capture import run
from pilotpy.agent.capture_flags import Machine, order
from pilotpy.agent.rules import restore_text, rules, tables
from pilotpy.agent.traffic_capture import Capture, Family, Mode

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "iptables" / "sidecar_iptables.json"


def istio_cases():
    if not CASES.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="conformance cases are not here"))]
    return [pytest.param(case, id=case["name"]) for case in json.loads(CASES.read_text())["cases"]]


@pytest.mark.parametrize("case", istio_cases())
def test_rules_are_those_of_istio(case):
    facts = case["host_facts"]
    machine = Machine(
        ipv6=facts.get("ipv6", False),
        name_servers=(*facts.get("dns_servers_v4", ()), *facts.get("dns_servers_v6", ())),
    )
    capture = order(case["args"], case["env"], machine).capture
    assert tables(rules(capture, Family.V4)) == case["rules"]["v4"]
    assert tables(rules(capture, Family.V6)) == case["rules"]["v6"]


SIDECAR = Capture(inbound_ports=("*",), inbound_ports_excluded=("15090", "15021"), outbound_ranges=("*",))


def test_all_inbound_but_a_few_ports_goes_to_envoy():
    nat = tables(rules(SIDECAR, Family.V4))["nat"]
    inbound = [line for line in nat if line.startswith("-A ISTIO_INBOUND")]
    assert inbound == [
        "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
        "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
        "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN",
        "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
    ]
    assert nat[-1] == "-A ISTIO_OUTPUT -j ISTIO_REDIRECT"


def test_a_mark_can_stand_in_for_envoys_user():
    capture = Capture(uids=(), gids=(), marks=(1336,), outbound_ranges=("*",))
    nat = tables(rules(capture, Family.V4))["nat"]
    assert [line for line in nat if "1336" in line] == [
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark --mark 1336 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m mark ! --mark 1336 -j RETURN",
        "-A ISTIO_OUTPUT -m mark --mark 1336 -j RETURN",
    ]


def test_a_family_that_is_off_has_no_text():
    assert restore_text(tables(rules(SIDECAR, Family.V6))) == ""


def test_text_is_a_transaction_per_table():
    lines = restore_text(tables(rules(SIDECAR, Family.V4))).splitlines()
    assert (lines[0], lines[-1]) == ("* nat", "COMMIT")


@pytest.mark.parametrize(
    ("flags", "environment", "field", "value"),
    [
        pytest.param(["-p", "1"], {"ENVOY_PORT": "2"}, "outbound_port", 1, id="a flag wins over its variable"),
        pytest.param([], {"ENVOY_PORT": "2"}, "outbound_port", 2, id="a variable wins over the default"),
        pytest.param(["--redirect-dns"], {}, "redirect_dns", True, id="a switch alone is on"),
        pytest.param(["--redirect-dns=false"], {}, "redirect_dns", False, id="a switch can be turned off"),
        pytest.param([], {"ISTIO_META_DNS_CAPTURE": "true"}, "redirect_dns", True, id="DNS by the proxy's metadata"),
        pytest.param(["-u", "1,2"], {}, "gids", ("1", "2"), id="groups follow users"),
        pytest.param(["-i", ""], {}, "outbound_ranges", (), id="an empty list captures nothing"),
        pytest.param(["--ipv6"], {}, "ipv6", True, id="IPv6 can be asked for"),
    ],
)
def test_flags(flags, environment, field, value):
    assert getattr(order(flags, environment, Machine()).capture, field) == value


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["-i", "10.0.0.0/99"], id="no range"),
        pytest.param(["-x", "*"], id="everything excluded"),
        pytest.param(["-m", "MAGIC"], id="no mode"),
        pytest.param(["-p", "http"], id="no port"),
    ],
)
def test_what_cannot_be_is_refused(flags):
    with pytest.raises(argparse.ArgumentError):
        order(flags, {}, Machine())


def test_no_capture_is_the_removal_of_what_there_was():
    asked = order(["-m", "NONE", "-b", "*", "-i", "*", "--dry-run"], {}, Machine())
    assert asked.clean
    assert run(asked) == ""


def test_a_flag_that_we_do_not_have_is_refused():
    with pytest.raises(argparse.ArgumentError, match="--native-nftables"):
        order(["--native-nftables"], {}, Machine())


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        pytest.param([], Machine(ipv4=True, ipv6=True), False, id="both versions: only IPv4 rules"),
        pytest.param(["--dual-stack"], Machine(ipv4=True, ipv6=True), True, id="both versions, dual stack: both"),
        pytest.param(["--dual-stack"], Machine(ipv4=True), False, id="dual stack without an IPv6 address: IPv4"),
        pytest.param([], Machine(ipv6=True), True, id="only IPv6"),
    ],
)
def test_ipv6_follows_the_pods_addresses(flags, machine, expected):
    assert order(flags, {}, machine).capture.ipv6 is expected


def test_packets_that_envoy_marked_can_be_left_alone():
    transparent = Capture(mode=Mode.TPROXY, inbound_ports=("*",), leave_marked=True)
    nat = tables(rules(transparent, Family.V4))["nat"]
    assert nat[-1] == "-I OUTPUT 1 -p tcp -m mark --mark 1337 -j RETURN"


def test_under_redirect_envoy_can_speak_from_its_clients_address_too():
    plain = Capture(inbound_ports=("*",))
    added = tables(rules(Capture(inbound_ports=("*",), client_address=True), Family.V4))
    assert added["mangle"] == [
        "-A PREROUTING -p tcp -m mark --mark 1337 -j CONNMARK --save-mark",
        "-A OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark",
    ]
    assert added["nat"] == [*tables(rules(plain, Family.V4))["nat"], "-I OUTPUT 1 -p tcp -m mark --mark 1337 -j RETURN"]
