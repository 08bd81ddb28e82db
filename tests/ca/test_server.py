"""The authority on real sockets: certificates over gRPC, and who gets none."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl

import grpc
import grpc.aio
import pytest
from cryptography import x509

from pilotpy_ca import authenticators
from pilotpy_ca.authenticators import ClientCertificate, folder_issuer
from pilotpy_ca.csr import new_request
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.rate import RateLimit
from pilotpy_ca.server import ServerCertificate, serving, ticking
from pilotpy_ca.tokens import TokenIssuer, Workload
from pilotpy_protos.istio.v1.auth import ca_pb2
from tests.ca.scenery import DAY, HTTPBIN, SLEEP, TERMS, keeper, now, played
from tests.waiting import until

NAME = "istiod.istio-system.svc"
METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
POD = Workload("default", "sleep", "sleep-1")


class Scene:
    """An authority that serves, and ways to call it."""

    def __init__(self, kept, issuer, running):
        self.kept, self.issuer, self.running = kept, issuer, running
        self.key = PrivateKey.new(KeyType.P256)
        self.request = ca_pb2.IstioCertificateRequest(csr=new_request(self.key).decode()).SerializeToString()

    def bearer(self, workload=POD, at=None):
        return (("authorization", f"Bearer {self.issuer.token(workload, at or now())}"),)

    async def call(self, metadata=None, identity=None, content=None, roots=None):
        """The chain that comes back. `identity`: (chain, key) to show."""
        roots = roots or b"".join(self.kept.authority.roots)
        chain, key = identity or (None, None)
        credentials = grpc.ssl_channel_credentials(roots, key and key.pem(), chain and "".join(chain[:-1]).encode())
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(self.running.address, credentials, options=options) as channel:
            create = channel.unary_unary(METHOD)
            response = await create(content or self.request, metadata=metadata, timeout=10)
        return list(ca_pb2.IstioCertificateResponse.FromString(response).cert_chain)

    async def refusal(self, **call):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.call(**call)
        return raised.value.code(), raised.value.details()


@contextlib.asynccontextmanager
async def scene(kept=None):
    kept = kept or keeper(now=now())
    issuer = TokenIssuer(kept.token_key())
    ways = [ClientCertificate(kept.authority), folder_issuer(issuer, lambda: TERMS.trust_domain)]
    async with serving(kept, ways, "127.0.0.1:0", [NAME]) as running:
        yield Scene(kept, issuer, running)


def leaf(chain):
    return x509.load_pem_x509_certificate(chain[0].encode())


UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")


def test_a_workload_comes_with_a_token_and_goes_on_with_its_certificate():
    async def play():
        async with scene() as at:
            first = await at.call(at.bearer())
            second = await at.call(identity=(first, at.key))
            assert leaf(first).serial_number != leaf(second).serial_number
            assert leaf(second).extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value.get_values_for_type(x509.UniformResourceIdentifier) == [SLEEP]
            issued = list(at.kept.ledger)
            assert [one.holder for one in issued] == ["sleep-1.default"] * 2

    played(play)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(lambda at: None, id="nothing"),
        pytest.param(lambda at: (("authorization", "Bearer x.y.z"),), id="a token that is none"),
        pytest.param(lambda at: at.bearer(at=now() - 2 * DAY), id="a token that has ended"),
        pytest.param(lambda at: at.bearer() + at.bearer(), id="two tokens"),
        pytest.param(lambda at: (("authorization", "Basic cm9vdDpyb290"),), id="a password"),
    ],
)
def test_whoever_shows_too_little_learns_nothing_and_the_log_says_why(metadata, caplog):
    async def play():
        async with scene() as at:
            with caplog.at_level(logging.WARNING, "pilotpy_ca"):
                assert await at.refusal(metadata=metadata(at)) == UNKNOWN
            assert at.running.service.counts.authentication_failures == 1
            assert caplog.records[-1].fields_of_record["reason"]
            assert caplog.records[-1].fields_of_record["peer"].startswith("127.0.0.1:")

    played(play)


def test_a_request_that_is_too_large_does_not_reach_us():
    async def play():
        async with scene() as at:
            code, _ = await at.refusal(metadata=at.bearer(), content=b"x" * 100_000)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert at.running.service.counts.requests == 0

    played(play)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["spiffe://other.org/ns/default/sa/sleep"], id="of another trust domain"),
        pytest.param([NAME], id="of a server"),
        pytest.param([SLEEP, HTTPBIN], id="of two workloads"),
    ],
)
def test_a_certificate_of_ours_that_is_no_workloads_ends_the_connection(names):
    async def play():
        async with scene() as at:
            key = PrivateKey.new(KeyType.P256)
            chain = at.kept.authority.issue(new_request(key), names, None, now()).elements
            assert (await at.refusal(identity=(chain, key), metadata=at.bearer()))[0] is grpc.StatusCode.UNAVAILABLE
            assert at.running.front.refused >= 1

    played(play)


def test_who_asks_without_end_is_turned_away_and_others_are_not(caplog):
    async def play():
        async with scene() as at:
            token, other = (at.bearer(POD._replace(pod=pod)) for pod in ("sleep-1", "sleep-2"))
            at.running.service.limit = RateLimit(3, 0.001)
            for _ in range(3):
                assert await at.call(metadata=token)
            code, details = await at.refusal(metadata=token)
            assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests, try again later")
            assert at.running.service.counts.turned_away == 1
            assert await at.call(metadata=other)

    played(play)
    assert "sleep-1.default asks too often" in {record.fields_of_record.get("reason") for record in caplog.records}


class Silent:
    """An authenticator whose API server does not answer."""

    name = "silent"

    async def caller(self, credentials, now):
        await asyncio.Event().wait()


def test_who_proved_itself_by_its_certificate_gets_another_though_nobody_can_review_its_token(monkeypatch):
    monkeypatch.setattr(authenticators, "_PATIENCE", 0.1)

    async def play():
        kept = keeper(now=now())
        async with serving(kept, [ClientCertificate(kept.authority), Silent()], "127.0.0.1:0", [NAME]) as running:
            at = Scene(kept, TokenIssuer(kept.token_key()), running)
            chain = kept.authority.issue(new_request(at.key), [SLEEP], None, now())
            again = leaf(await at.call(metadata=at.bearer(), identity=(list(chain.elements), at.key)))
            (issued,) = [one for one in kept.ledger if one.serial == again.serial_number]
            assert (issued.names, issued.holder) == ((SLEEP,), "")

    played(play)


def test_a_certificate_of_strangers_ends_the_handshake():
    async def play():
        stranger = keeper(now=now())
        async with scene() as at:
            key = PrivateKey.new(KeyType.P256)
            chain = stranger.authority.issue(new_request(key), [SLEEP], None, now()).elements
            assert (await at.refusal(identity=(chain, key)))[0] is grpc.StatusCode.UNAVAILABLE

    played(play)


def test_a_revoked_certificate_is_not_let_in():
    async def play():
        async with scene() as at:
            chain = await at.call(at.bearer())
            at.kept.revoke(SLEEP, now())
            assert (await at.refusal(identity=(chain, at.key)))[0] is grpc.StatusCode.UNAVAILABLE
            assert await at.call(at.bearer()), "with its token it may have another one"

    played(play)


def test_a_connection_does_not_outlast_the_certificate_that_it_was_opened_with(tmp_path):
    async def play():
        async with scene() as at:
            chain = await at.call(at.bearer())
            context = ssl.create_default_context(cadata=b"".join(at.kept.authority.roots).decode())
            pem = tmp_path / "client.pem"
            pem.write_bytes("".join(chain[:-1]).encode() + at.key.pem())
            plain = ssl.create_default_context(cadata=b"".join(at.kept.authority.roots).decode())
            context.load_cert_chain(pem)
            for one in (context, plain):
                one.set_alpn_protocols(["h2"])
            host, _, port = at.running.address.rpartition(":")
            shown, unshown = [
                await asyncio.open_connection(host, int(port), ssl=one, server_hostname=NAME)
                for one in (context, plain)
            ]
            await until(lambda: at.running.front.connections == 2)
            at.kept.revoke(leaf(chain).serial_number, now())
            async with asyncio.timeout(10):
                while await shown[0].read(1 << 16):
                    pass
            assert at.running.front.connections == 1, "who showed a token may have another one"
            for _, writer in (shown, unshown):
                writer.close()

    played(play)


def test_whoever_reaches_the_inner_listener_without_the_front_is_nobody(caplog):
    async def play():
        async with scene() as at:
            folder = at.running.front.inner_address.removeprefix("unix:").removesuffix("/inner")
            assert os.stat(folder).st_mode & 0o077 == 0  # noqa: PTH116  # in a coroutine the short way
            async with grpc.aio.insecure_channel(at.running.front.inner_address) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary(METHOD)(at.request, metadata=at.bearer())
            assert (raised.value.code(), raised.value.details()) == UNKNOWN
            assert "did not come through the front" in caplog.records[-1].fields_of_record["reason"]

    with caplog.at_level(logging.WARNING, "pilotpy_ca"):
        played(play)


def issuer_shown(address):
    """Who signed the certificate that a server shows now."""
    host, _, port = address.rpartition(":")
    shown = ssl.get_server_certificate((host, int(port)), timeout=5)
    return x509.load_pem_x509_certificate(shown.encode()).issuer


def test_the_servers_certificate_and_the_roots_rotate_under_open_connections():
    async def play():
        async with scene() as at:
            roots, before = at.kept.authority.roots[0], at.kept.authority.slots.active.signer.certificate.subject
            chain = await at.call(at.bearer())
            options = [("grpc.ssl_target_name_override", NAME)]
            credentials = grpc.ssl_channel_credentials(roots)
            async with grpc.aio.secure_channel(at.running.address, credentials, options=options) as channel:
                create = channel.unary_unary(METHOD)
                assert await create(at.request, metadata=at.bearer())
                at.kept.rotate(now(), at_once=True)
                await until(lambda: asyncio.to_thread(lambda: issuer_shown(at.running.address) != before))
                assert await create(at.request, metadata=at.bearer()), "the open connection goes on"
            assert (await at.refusal(metadata=at.bearer(), roots=roots))[0] is grpc.StatusCode.UNAVAILABLE
            renewed = await at.call(identity=(chain, at.key))
            assert renewed[-1].count("BEGIN") == 2, "the certificate of the old root is still believed"

    played(play)


def test_a_servers_certificate_is_renewed_at_half_its_life():
    kept = keeper(now=now())

    class Shown:
        times = 0

        def present(self, identity, roots):
            self.times += 1

    shown = Shown()
    certificate = ServerCertificate(kept.authority, shown, [NAME])
    at = now()
    renewed = [certificate.keep(at + days * DAY) for days in (0, 1, 44, 46, 47)]
    assert renewed == [True, False, False, True, False]
    kept.revoke(0x1, at)
    assert not certificate.keep(at + 47 * DAY), "a revocation is no reason"
    kept.rotate(at)
    assert certificate.keep(at + 47 * DAY), "another root is one"
    assert shown.times == 3


def test_the_address_has_to_be_free():
    async def play():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            kept = keeper(now=now())
            with pytest.raises(OSError, match="in use"):
                async with serving(kept, [], f"127.0.0.1:{taken.getsockname()[1]}", [NAME]):
                    pass

    played(play)


def test_the_keeper_is_called_again_whatever_went_wrong(caplog):
    calls = []

    class Odd:
        def tick(self, _now):
            calls.append(len(calls))
            if len(calls) == 1:
                raise ValueError("nobody thought of that")
            return ()

    async def play():
        seen = asyncio.Event()
        ticks = asyncio.create_task(ticking(Odd(), lambda _: seen.set(), now))
        await asyncio.wait_for(seen.wait(), 10)
        ticks.cancel()

    played(play)
    assert len(calls) == 2
    assert "the authority is not kept up" in caplog.text
