"""A real Envoy beside a real agent: its certificate, its rotation, who is revoked, and what happens to connections."""

import asyncio
import ssl

import pytest
from cryptography import x509

from pilotpy.agent.pod_agent import PodAgent
from tests.agent.envoy import Peer, envoy, free_port, inbound, serve
from tests.agent.plane import asynchronous, running
from tests.agent.pods import settings, short_folder
from tests.agent.tasks import background
from tests.waiting import until

pytestmark = pytest.mark.envoy
BOTH = pytest.mark.parametrize("delta", [True, False], ids=["incremental", "state of the world"])
CALLER = "spiffe://cluster.local/ns/default/sa/caller"


@BOTH
@asynchronous
async def test_certificates_rotate_under_load_and_the_revoked_are_turned_away(delta):
    with short_folder() as folder:
        async with running(folder) as plane:
            port, admin = free_port(), free_port()
            made = settings(plane, folder, admin_port=admin)
            peer, other = (Peer(plane.issuer, folder, CALLER, port) for _ in range(2))
            listening = inbound(port)
            async with PodAgent(made) as agent, background(serve_all(plane, listening)):
                assert "Envoy" in await agent.ready()
                async with envoy(made, folder, delta=delta, admin_port=admin):
                    await until(peer.is_served)
                    assert await peer.serial() == plane.signed[-1].serial_number
                    assert await agent.ready() == ""

                    outcomes = []
                    async with background(other.load(outcomes)):
                        # A new certificate: shown to new connections, open ones stay.
                        old = await peer.connect()
                        assert await peer.ask(old) == 200
                        agent.identity.renew()
                        await until(lambda: len(plane.signed) == 2)
                        await until(lambda: _shows(peer, plane.signed[-1]))
                        assert await peer.ask(old) == 200

                        # The caller is revoked: new connections fail, the open one is drained.
                        made.revoked.write_bytes(plane.issuer.revocation(peer.certificate.serial_number))
                        await until(lambda: _is_not_served(peer))
                        await until(lambda: _is_over(peer, old))
                        old[1].close()
                        assert len(outcomes) > 100
                    assert {*outcomes} == {"200"}  # others notice nothing

                    # And forgiven.
                    made.revoked.write_bytes(plane.issuer.revocation())
                    await until(peer.is_served)


@asynchronous
async def test_an_envoy_that_starts_anew_is_served_at_once_even_while_the_control_plane_is_away():
    with short_folder() as folder:
        async with running(folder) as plane:
            port, admin = free_port(), free_port()
            made = settings(plane, folder, admin_port=admin)
            peer = Peer(plane.issuer, folder, CALLER, port)
            async with PodAgent(made) as agent, background(serve_all(plane, inbound(port))):
                async with envoy(made, folder, delta=True, admin_port=admin) as first:
                    await until(peer.is_served)
                    first.kill()
                    await first.wait()
                    assert "Envoy" in await agent.ready()
                async with envoy(made, folder, delta=True, admin_port=admin):
                    await until(peer.is_served)
                    await plane.stop()
                    await until(lambda: not agent.relay.connected)
                    made.sds_socket.unlink()  # its secrets come back too
                    await until(made.sds_socket.exists)
                    assert await peer.is_served()
                    agent.identity.renew()
                    await until(lambda: agent.identity.failures > 1)
                    assert await peer.is_served()
                    assert await agent.ready() == ""
                    await plane.start()
                    await until(lambda: len(plane.signed) == 2, 20)
                    await until(lambda: _shows(peer, plane.signed[-1]))
                    await until(lambda: agent.relay.connected, 20)


async def serve_all(plane, listening):
    while True:
        stream = await plane.streams.get()
        await serve(stream, listening)
        stream.over.set()


async def _shows(peer: Peer, certificate: x509.Certificate) -> bool:
    return await peer.serial() == certificate.serial_number


async def _is_not_served(peer: Peer) -> bool:
    return not await peer.is_served()


async def _is_over(peer: Peer, connection) -> bool:
    try:
        await peer.ask(connection)
    except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
        return True
    return False
