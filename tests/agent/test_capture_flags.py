"""What the flags of a capture ask for."""

import argparse

import pytest

from pilotpy.agent.capture_flags import Machine, order


def asked(*arguments):
    return order(arguments, {}, Machine(ipv4=True))


@pytest.mark.parametrize(
    ("arguments", "output", "ports"),
    [
        pytest.param((), "text", (), id="nothing"),
        pytest.param(("-o", "json"), "json", (), id="a form"),
        pytest.param(("--output", "json"), "json", (), id="a form by its long name"),
        pytest.param(("-o", "8080,9000:9010"), "text", ("8080", "9000:9010"), id="ports, with istio-iptables' letter"),
        pytest.param(("-o", "8080", "-o", "json"), "json", ("8080",), id="both"),
    ],
)
def test_one_letter_means_ports_or_a_form(arguments, output, ports):
    found = asked("--dry-run", *arguments)
    assert (found.output, found.capture.outbound_ports_excluded) == (output, ports)


@pytest.mark.parametrize("flag", ["-b", "-d", "-q", "-o"])
@pytest.mark.parametrize("value", ["http", "65536", "80:", "-1"])
def test_what_is_no_port_is_said(flag, value):
    with pytest.raises(argparse.ArgumentError, match=r"not a port|expected one argument"):
        asked(flag, value)


def test_all_ports_may_come_in():
    assert asked("-b", "*").capture.inbound_ports == ("*",)
