"""Rules in a real kernel, in a network namespace that exists for one test."""

import ctypes
import os
import re
import subprocess
import threading

import pytest

from pilotpy.agent import capture as capturing
from pilotpy.agent.capture_flags import Machine, order
from pilotpy.agent.traffic_capture import Capture, Mode

SIDECAR = Capture(
    inbound_ports=("*",), inbound_ports_excluded=("15090",), outbound_ranges=("*",), interfaces_excluded=("eth9",)
)
CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")


@pytest.fixture
def alone():
    """Run a function in a thread that has a network namespace of its own."""

    def run(function):
        results = []

        def body():
            assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
            results.append(function())

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return results[0]

    return run


def saved():
    text = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.value)
def test_applying_twice_is_applying_once(alone, mode):
    wanted = Capture(inbound_ports=("*",), outbound_ranges=("*",), interfaces_excluded=("eth9",), mode=mode)

    def twice():
        capturing.apply(wanted)
        once = saved()
        capturing.apply(wanted)
        return once, saved()

    once, twice_ = alone(twice)
    assert sum("ISTIO_OUTPUT" in line for line in once) > 5
    assert once == twice_


def test_clean_leaves_the_rules_of_others(alone):
    def there_and_back():
        other = ["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "99", "-j", "RETURN"]
        subprocess.run(other, check=True)
        capturing.apply(SIDECAR)
        capturing.clean(SIDECAR)
        return saved()

    rules = [line for line in alone(there_and_back) if line.startswith(("-A", ":ISTIO"))]
    assert rules == ["-A OUTPUT -p tcp -m tcp --dport 99 -j RETURN"]


def test_another_capture_replaces_the_one_that_is_there(alone):
    def change():
        capturing.apply(SIDECAR)
        capturing.apply(Capture(inbound_ports=("8080",), outbound_ranges=("10.0.0.0/8",)))
        return saved()

    rules = alone(change)
    assert not [line for line in rules if "15090" in line]
    assert [line for line in rules if "ISTIO_INBOUND" in line and "8080" in line]


def test_a_refused_rule_changes_nothing_and_says_why(alone):
    def refused():
        capturing.apply(SIDECAR)
        before = saved()
        with pytest.raises(capturing.CaptureFailed, match="iptables-restore"):
            capturing.apply(Capture(uids=("no-such-user-here",)))
        return before, saved()

    before, after = alone(refused)
    assert before == after


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"mode": Mode.REDIRECT}, id="REDIRECT"),
        pytest.param({"mode": Mode.REDIRECT, "client_address": True}, id="REDIRECT that keeps clients' addresses"),
        pytest.param({"mode": Mode.TPROXY}, id="TPROXY"),
    ],
)
def test_no_capture_leaves_nothing_of_an_earlier_one(alone, more):
    earlier = Capture(inbound_ports=("*",), outbound_ranges=("*",), leave_marked=True, **more)

    def cleaned():
        capturing.apply(earlier)
        capturing.run(order(["-m", "NONE", "-b", "*", "-i", "*"], {}, Machine()))
        return [line for line in saved() if line.startswith("-A") or "ISTIO" in line]

    assert alone(cleaned) == []
