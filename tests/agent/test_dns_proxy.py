"""Questions over real sockets, and what comes of hostile ones."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from datetime import timedelta

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.agent.dns_answer import Elsewhere, answer, is_answer_to
from pilotpy.agent.dns_proxy import DnsProxy, Resolver
from pilotpy.agent.name_book import name_book
from pilotpy.agent.network import PodNetwork
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from tests.agent.plane import asynchronous
from tests.waiting import until

HOST = "cart.shop.svc.cluster.local"


def table(*ips: str) -> NameTable:
    made = NameTable()
    made.table[HOST].CopyFrom(
        NameTable.NameInfo(ips=ips or ("10.0.0.1",), registry="Kubernetes", shortname="cart", namespace="shop")
    )
    return made


BOOK = name_book(table(*(f"10.0.0.{n}" for n in range(1, 4))), "shop", "shop.svc.cluster.local")


def question(name: str, type_: str = "A", **more) -> bytes:
    return dns.message.make_query(name, type_, **more).to_wire()


def shown(reply: bytes) -> list[str]:
    return [str(one) for one in dns.message.from_wire(reply).answer]


def test_an_answer_has_authority_and_a_short_life():
    reply = dns.message.from_wire(answer(question(HOST), BOOK, udp=True))
    assert reply.flags & dns.flags.AA
    assert reply.answer[0].ttl == 30
    assert sorted(map(str, reply.answer[0])) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_addresses_take_turns():
    firsts = {shown(answer(question(HOST), BOOK, udp=True))[0].split("\n")[0] for _ in range(50)}
    assert len(firsts) > 1


def test_a_name_from_the_search_list_is_an_alias():
    reply = shown(answer(question("cart.shop.shop.svc.cluster.local"), BOOK, udp=True))
    assert reply[0] == "cart.shop.shop.svc.cluster.local. 30 IN CNAME cart.shop."
    assert reply[1].startswith("cart.shop. 30 IN A 10.0.0.")


def test_a_known_name_without_such_an_address_is_no_unknown_name():
    reply = dns.message.from_wire(answer(question(HOST, "AAAA"), BOOK, udp=True))
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_before_the_first_table_there_is_no_answer_yet():
    reply = dns.message.from_wire(answer(question(HOST), None, udp=True))
    assert reply.rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    ("name", "type_"),
    [("example.org", "A"), (HOST, "MX"), (HOST, "TXT"), ("1.0.0.10.in-addr.arpa", "PTR")],
    ids=["a stranger", "a mail server", "a text", "the name of an address"],
)
def test_others_are_asked_about(name, type_):
    assert answer(question(name, type_), BOOK, udp=True) is Elsewhere.FORWARD


def test_an_answer_that_is_too_long_for_a_datagram_is_cut_off_and_says_so():
    book = name_book(table(*(f"10.0.{n}.1" for n in range(100))), "shop")
    reply = answer(question(HOST), book, udp=True)
    assert len(reply) <= 512
    assert dns.message.from_wire(reply).flags & dns.flags.TC
    assert len(answer(question(HOST, use_edns=0, payload=4096), book, udp=True)) > 512
    assert not dns.message.from_wire(answer(question(HOST), book, udp=False)).flags & dns.flags.TC


@given(st.binary(max_size=300))
def test_no_bytes_break_it(garbage):
    assert isinstance(answer(garbage, BOOK, udp=True), bytes | Elsewhere)
    assert not is_answer_to(garbage, question(HOST))


@given(st.binary(min_size=1, max_size=8), st.integers(0, 100))
def test_no_damage_to_a_question_breaks_it(damage, at):
    asked = question(HOST)
    at %= len(asked)
    assert isinstance(answer(asked[:at] + damage + asked[at:], BOOK, udp=True), bytes | Elsewhere)


def test_an_answer_is_not_answered():
    assert answer(answer(question(HOST), BOOK, udp=True), BOOK, udp=True) is Elsewhere.NOTHING


class NameServer(asyncio.DatagramProtocol):
    """Knows one address for every name."""

    def __init__(self, *, lies: bool = False, silent: bool = False) -> None:
        self.asked = 0
        self._lies = lies
        self._silent = silent

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data, addr) -> None:
        self.asked += 1
        if self._lies:
            wrong = dns.message.make_response(dns.message.from_wire(data))
            wrong.id ^= 1
            self._transport.sendto(wrong.to_wire(), addr)
        if not self._silent:
            self._transport.sendto(self.reply(data), addr)

    @staticmethod
    def reply(data: bytes) -> bytes:
        asked = dns.message.from_wire(data)
        made = dns.message.make_response(asked)
        made.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", "192.0.2.1"))
        return made.to_wire()

    async def serve(self, reader, writer) -> None:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        reply = self.reply(await reader.readexactly(size))
        writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def name_server(**manner):
    loop = asyncio.get_running_loop()
    server = NameServer(**manner)
    tcp = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
    try:
        yield server, f"127.0.0.1@{port}"
    finally:
        transport.close()
        tcp.close()


@asynccontextmanager
async def proxy(*servers: str):
    made = DnsProxy(Resolver(namespace="shop", servers=servers, port=0), PodNetwork())
    made.take(table())
    async with made.listening() as ports:
        yield made, ports


async def over_udp(port: int, asked: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, asked)
        async with asyncio.timeout(8):
            return await loop.sock_recv(client, 65535)


async def over_tcp(port: int, *asked: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = []
    for each in asked:
        writer.write(struct.pack("!H", len(each)) + each)
        async with asyncio.timeout(8):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            replies.append(await reader.readexactly(size))
    writer.close()
    await writer.wait_closed()
    return replies


@asynchronous
async def test_known_names_are_answered_over_both_transports():
    async with proxy() as (_, (udp, tcp)):
        assert shown(await over_udp(udp, question("cart"))) == ["cart. 30 IN A 10.0.0.1"]
        first, second = await over_tcp(tcp, question("cart"), question("cart.shop"))
        assert shown(first) == ["cart. 30 IN A 10.0.0.1"]
        assert shown(second) == ["cart.shop. 30 IN A 10.0.0.1"]


@asynchronous
async def test_strangers_are_asked_about_over_the_transport_of_the_question():
    async with name_server() as (server, address), proxy(address) as (made, (udp, tcp)):
        assert shown(await over_udp(udp, question("example.org"))) == ["example.org. 60 IN A 192.0.2.1"]
        assert shown((await over_tcp(tcp, question("example.org")))[0]) == ["example.org. 60 IN A 192.0.2.1"]
        assert (server.asked, made.forwarded) == (1, 2)


@asynchronous
async def test_an_answer_with_another_number_is_not_believed():
    async with name_server(lies=True) as (_, address), proxy(address) as (_, (udp, _)):
        assert shown(await over_udp(udp, question("example.org"))) == ["example.org. 60 IN A 192.0.2.1"]


@asynchronous
async def test_a_name_server_that_is_silent_is_not_the_last_word(monkeypatch):
    monkeypatch.setattr("pilotpy.agent.dns_proxy._PATIENCE", timedelta(seconds=1))
    async with name_server(silent=True) as (_, silent), name_server() as (_, good):
        async with proxy(silent, good) as (_, (udp, _)):
            assert shown(await over_udp(udp, question("example.org")))
        async with proxy(silent) as (made, (udp, _)):
            reply = dns.message.from_wire(await over_udp(udp, question("example.org")))
            assert (reply.rcode(), made.failed) == (dns.rcode.SERVFAIL, 1)


@asynchronous
async def test_many_questions_at_once_are_bounded_and_known_names_still_answered(monkeypatch):
    monkeypatch.setattr("pilotpy.agent.dns_proxy._AT_ONCE", 10)
    monkeypatch.setattr("pilotpy.agent.dns_proxy._PATIENCE", timedelta(seconds=0.5))
    async with name_server(silent=True) as (server, address), proxy(address) as (made, (udp, _)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(50):
                client.sendto(question(f"{number}.example.org"), ("127.0.0.1", udp))
            await until(lambda: made.failed == 10)
            assert server.asked == 10
        assert shown(await over_udp(udp, question("cart")))


@asynchronous
async def test_garbage_gets_no_answer_and_a_connection_that_sends_it_ends():
    async with proxy() as (_, (udp, tcp)):
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp)
        writer.write(struct.pack("!H", 3) + b"abc")
        assert await reader.read() == b""
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"garbage", ("127.0.0.1", udp))
        assert shown(await over_udp(udp, question("cart")))
