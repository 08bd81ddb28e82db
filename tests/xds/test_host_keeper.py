"""Addresses of gateways kept fresh: asked of a name server, and again when they end; silence changes nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pilotpy.compile.collections import BY_NAME, COLLECTIONS
from pilotpy.engine import Engine
from pilotpy.follow import submit
from pilotpy.mesh.network_gateways import HOST_ADDRESSES, gateways
from pilotpy.mesh.views import view
from pilotpy.model.mesh_networks import MESH_NETWORKS
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change, Origin
from pilotpy.xds.compiler import Answers, LocalCompiler
from pilotpy.xds.host_keeper import Answer, HostKeeper, Lives, Unanswered, keeping_hosts, looked_up
from tests.asynchronous import asynchronous
from tests.mesh.networks import networks
from tests.waiting import until

SHORT = Lives(timedelta(milliseconds=1), timedelta(milliseconds=5))
LONG = timedelta(hours=2)


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP: TTL and addresses, or a code, by type or for all; other names there are none, it says."""

    def __init__(self, **known):
        self.known = {f"{name.replace('_', '.')}.": answers for name, answers in known.items()}
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        question = dns.message.from_wire(data)
        (asked,) = question.question
        self.asked.append((str(asked.name), asked.rdtype.name))
        reply = dns.message.make_response(question)
        records = self.known.get(str(asked.name))
        if records is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif isinstance(code := records if isinstance(records, int) else records.get(asked.rdtype.name), int):
            reply.set_rcode(code)
        elif asked.rdtype.name in records:
            reply.answer.append(
                dns.rrset.from_text(
                    asked.name, *records[asked.rdtype.name][:1], "IN", asked.rdtype, *records[asked.rdtype.name][1:]
                )
            )
        self.transport.sendto(reply.to_wire(), address)


@asynccontextmanager
async def name_server(**known):
    """A name server, and a resolver that asks it."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(**known), ("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    try:
        yield server, resolver
    finally:
        transport.close()


@asynchronous
async def test_a_name_has_the_addresses_of_both_families_for_as_long_as_the_shorter_lives():
    records = {"A": (60, "203.0.113.2", "203.0.113.1"), "AAAA": (90, "2001:db8::1")}
    async with name_server(gw_example=records) as (_, resolver):
        found = await looked_up("gw.example", resolver)
    assert found == (("2001:db8::1", "203.0.113.1", "203.0.113.2"), timedelta(seconds=60))


@asynchronous
async def test_a_name_that_is_none_has_no_addresses():
    async with name_server() as (_, resolver):
        assert (await looked_up("gw.example", resolver)).addresses == ()


@pytest.mark.parametrize("host", ["gw.example", "a..b"], ids=["no name server", "no name"])
@asynchronous
async def test_what_is_not_answered_is_told(host):
    async with name_server(gw_example=int(dns.rcode.SERVFAIL)) as (_, resolver):
        with pytest.raises(Unanswered):
            await looked_up(host, resolver)


@asynchronous
async def test_half_an_answer_is_no_word_on_whether_there_are_addresses():
    async with name_server(gw_example={"A": int(dns.rcode.SERVFAIL)}) as (_, resolver):
        with pytest.raises(Unanswered):
            await looked_up("gw.example", resolver)
    async with name_server(gw_example={"A": (60, "203.0.113.1"), "AAAA": int(dns.rcode.SERVFAIL)}) as (_, resolver):
        assert (await looked_up("gw.example", resolver)).addresses == ("203.0.113.1",)


class Told:
    """Answers in order, the last for ever; and what a keeper wrote."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.written = asyncio.Queue()

    async def resolve(self, _host):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, LONG)

    def write(self, puts, _causes):
        for put in puts:
            assert put.kind is HOST_ADDRESSES
            self.written.put_nowait((put.key[0], put.value))


@asynchronous
async def test_addresses_are_looked_up_again_and_survive_silence():
    told = Told(("1.1.1.1",), Unanswered("silence"), ("1.1.1.1",), ("2.2.2.2",), ())
    keeper = HostKeeper(told.resolve, told.write, SHORT)
    keeper.want(("gw.example",))
    assert [await told.written.get() for _ in range(3)] == [
        ("gw.example", ("1.1.1.1",)),
        ("gw.example", ("2.2.2.2",)),
        ("gw.example", ()),
    ]
    await keeper.close()


@asynchronous
async def test_a_name_that_is_not_wanted_any_more_is_forgotten():
    told = Told(("1.1.1.1",))
    keeper = HostKeeper(told.resolve, told.write)
    keeper.want(("a.example", "b.example"))
    await keeper.first_round()
    keeper.want(("b.example",))
    found = [told.written.get_nowait() for _ in range(told.written.qsize())]
    assert found == [("a.example", ("1.1.1.1",)), ("b.example", ("1.1.1.1",)), ("a.example", None)]
    await keeper.close()


@asynchronous
async def test_a_gateway_that_goes_by_a_name_is_resolved_while_mesh_networks_name_it():
    where = networks("networks: {far: {endpoints: [], gateways: [{address: gw.example, port: 443}]}}")
    compiler = LocalCompiler(Engine(), Answers(view, COLLECTIONS, BY_NAME), Settings(), instruments())
    running = asyncio.create_task(compiler.run())
    try:
        async with name_server(gw_example={"A": (60, "203.0.113.1")}) as (server, resolver):
            async with keeping_hosts(compiler, resolver):
                submit(compiler, [Change(MESH_NETWORKS, Origin("", 0), None, where)])
                await until(lambda: compiler.engine.ask(gateways) == (("203.0.113.1", 443, "far", ""),))
                submit(compiler, [Change(MESH_NETWORKS, Origin("", 0), where, None)])
                await until(lambda: compiler.engine.ask(gateways) == ())
            assert sorted(server.asked) == [("gw.example.", "A"), ("gw.example.", "AAAA")]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
