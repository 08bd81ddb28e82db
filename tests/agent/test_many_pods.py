"""One process as the agent of several pods, each in a network of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import AsyncExitStack

import dns.message
import pytest

from pilotpy.agent.dns_proxy import Resolver
from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.lab.network import Network
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.agent.plane import asynchronous, running
from tests.agent.pods import settings, short_folder
from tests.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces")]


def network_of_its_own(stack: AsyncExitStack) -> PodNetwork:
    made = Network.new()
    stack.callback(made.close)
    with made.inside():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return PodNetwork(made.inside)


def table(address: str) -> NameTable:
    made = NameTable()
    made.table["api.example.com"].ips.append(address)
    return made


@asynchronous
async def test_pods_have_the_same_ports_and_see_nothing_of_each_other():
    with short_folder() as folder:
        async with running(folder) as plane, AsyncExitStack() as stack:
            pods = []
            for number in (1, 2):
                network = network_of_its_own(stack)
                made = settings(
                    plane, folder / str(number), status_port=15020, resolver=Resolver(namespace="default"),
                )  # fmt: skip
                agent = await stack.enter_async_context(PodAgent(made, network))
                agent.dns.take(table(f"10.0.0.{number}"))
                pods.append((agent, network))
            for number, (agent, network) in enumerate(pods, 1):
                await until(lambda agent=agent: agent.holding.now.certificate)
                answer = await asked(Question("127.0.0.1", 15020, "/metrics"), network, at_most=1 << 20)
                assert b"istio_agent_cert_expiry_timestamp" in answer.body
                client = await network.connected("127.0.0.1", 15053, udp=True)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(client, dns.message.make_query("api.example.com", "A").to_wire())
                reply = dns.message.from_wire(await asyncio.wait_for(loop.sock_recv(client, 512), 5))
                client.close()
                assert str(reply.answer[0][0]) == f"10.0.0.{number}"
            keys = {agent.holding.now.certificate.key.pem() for agent, _ in pods}
            assert len(keys) == 2
            with pytest.raises(OSError, match="15053"):
                await PodNetwork().connected("127.0.0.1", 15053)
