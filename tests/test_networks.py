"""A control plane that is told of networks, and of its own cluster's name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pilotpy
from pilotpy.follow import following
from pilotpy.mesh.network_gateways import gateways
from pilotpy.mesh.networks import site
from pilotpy.sources.folder import Folder
from tests.authority.plane import SETTINGS
from tests.waiting import until


def test_networks_in_a_file_of_their_own_are_read_again_and_the_home_cluster_has_its_name(tmp_path):
    file = tmp_path / "networks"
    text = "networks: {far: {endpoints: [{fromRegistry: west}], gateways: [{address: %s, port: 443}]}}"
    file.write_text(text % "203.0.113.1")

    async def play():
        folder = Folder([], mesh_networks=file)
        async with following(folder, SETTINGS._replace(cluster_id="west")) as server:
            asking = server.compiler.engine.ask
            assert asking(gateways) == (("203.0.113.1", 443, "far", ""),)
            assert asking(site, "") == ("west", "far", ())
            file.write_text(text % "203.0.113.2")
            await until(lambda: asking(gateways) == (("203.0.113.2", 443, "far", ""),))

    asyncio.run(play())


def test_the_example_of_two_networks_has_a_client_reach_the_other_one_by_its_gateway():
    mesh = pilotpy.load(Path(__file__).parents[1] / "examples" / "two-networks")
    assert not mesh.findings
    (endpoints,) = mesh.proxy("client.default").document(["eds"])["endpoints"]
    found = [
        one["endpoint"]["address"]["socket_address"]
        for group in endpoints["endpoints"]
        for one in group["lb_endpoints"]
    ]
    assert {"address": "192.0.2.2", "port_value": 15443} in found
    assert len(found) == 2, "and its own by address"
