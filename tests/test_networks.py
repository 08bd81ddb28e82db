"""A control plane that is told of networks, and of its own cluster's name."""

from __future__ import annotations

import asyncio

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
