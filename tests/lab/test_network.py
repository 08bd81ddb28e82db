"""Networks of pods on their switch."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab

REPLACED = """
import socket
from pilotpy.lab.network import Network, plug, raise_switch, unplug

def server(number):
    network = Network.new()
    plug(network, f"pod{number}", "10.44.9.9")
    with network.inside():
        return network, socket.create_server(("10.44.9.9", 80))

def reached():
    with client.inside():
        socket.create_connection(("10.44.9.9", 80), timeout=4).close()

raise_switch()
client = Network.new()
plug(client, "pod1", "10.44.9.8")
network, listening = server(2)
reached()
listening.close()
unplug("pod2")
network.close()
replacement = server(3)
reached()
print("reached")
"""


def test_a_pod_that_takes_the_address_of_one_before_it_is_reached(namespaces):
    command = [*namespaces, sys.executable, "-c", REPLACED]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ran.stdout.strip() == "reached", ran.stderr
