"""The whole way: a change goes in, a client on a real gRPC stream gets it."""

from __future__ import annotations

import grpc
import pytest
from prometheus_client import generate_latest

from pilotpy.compile.collection import Collection
from pilotpy.compile.encoded import Tree
from pilotpy.engine import query
from pilotpy.ops.timeline import Outcome
from pilotpy.xds.compiler import Answers
from pilotpy.xds.names import MOST
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, LISTENER, ROUTE
from pilotpy_protos.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest
from tests.asynchronous import asynchronous
from tests.waiting import until
from tests.xds.client import Client, resources_in
from tests.xds.world import BY_TYPE, COLLECTIONS, FAST, World, put, running, view

BOTH = pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])


def finished(world):
    """The latest change's record, once all have answered it: what a person sees."""
    records = world.instruments.timeline.records()
    return records[-1] if records and records[-1].finished is not None else None


@BOTH
@asynchronous
async def test_a_client_is_served_and_then_pushed_what_changes(incremental):
    async with running() as world, Client(world.address, incremental=incremental) as client:
        world.change(put(CLUSTER, "a"), put(CLUSTER, "b"), put(ENDPOINT, "a", "1.1.1.1"))
        await client.ask(CLUSTER)
        first = await client.response()
        if not first.resources:  # asked before the change was taken in
            await client.answer(CLUSTER.url)
            first = await client.response()
        assert set(resources_in(first)) == {"a", "b"}
        await client.answer(CLUSTER.url)
        await client.ask(ENDPOINT, ["a", "b"])
        assignments = resources_in(await client.response())
        assert ClusterLoadAssignment.FromString(assignments["b"]) == ClusterLoadAssignment(cluster_name="b")
        await client.answer(ENDPOINT.url, [] if incremental else ["a", "b"])
        world.change(put(ENDPOINT, "a", "2.2.2.2"), endpoints=True)
        pushed = await client.response()
        assert pushed.type_url == ENDPOINT.url
        assert set(resources_in(pushed)) == {"a"}


@asynchronous
async def test_a_change_that_alters_nothing_sends_nothing():
    async with running() as world, Client(world.address) as client:
        await client.ask(CLUSTER)
        await client.response()
        await client.answer(CLUSTER.url)
        world.change(put(LISTENER, "not watched"))
        assert await client.silence()


@asynchronous
async def test_each_change_has_its_timeline():
    async with running() as world, Client(world.address) as one, Client(world.address) as other:
        for client in (one, other):
            await client.ask(CLUSTER)
            await client.response()
            await client.answer(CLUSTER.url)
        world.change(put(CLUSTER, "new"))
        for client in (one, other):
            await client.response()
        await one.answer(CLUSTER.url)
        await other.answer(CLUSTER.url, error="Error adding/updating cluster(s) new: no")
        record = await until(lambda: finished(world))
    assert world.instruments.timeline.records() == [record]
    assert record.causes == ("new",)
    assert record.outcomes == {Outcome.ACKED: 1, Outcome.REFUSED: 1}
    assert record.seen <= record.compiled <= record.first_sent <= record.last_sent <= record.finished


@pytest.mark.parametrize(
    ("node", "metadata", "words"),
    [
        pytest.param("", {}, "missing node", id="no node"),
        pytest.param("web", {}, "not of the form", id="an id of one part"),
        pytest.param("sidecar~1.1.1.1~" + "a" * 2000 + ".b~b.svc", {}, "characters", id="an id that is too long"),
        pytest.param("boat~1.1.1.1~a.b~c", {}, "unknown type", id="an unknown type of proxy"),
        pytest.param("sidecar~1.1.1.1~a.b~b.svc", {"LABELS": "{"}, "LABELS", id="metadata that does not decode"),
    ],
)
@BOTH
@asynchronous
async def test_a_malformed_node_is_told_what_is_wrong(node, metadata, words, incremental):
    async with running() as world, Client(world.address, node, metadata, incremental=incremental) as client:
        code, details = await client.refusal()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in details


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("istio.io/debug", grpc.StatusCode.UNAUTHENTICATED, id="debug"),
        pytest.param("istio.io/debug/syncz", grpc.StatusCode.UNAUTHENTICATED, id="the state of all proxies"),
        pytest.param("type.googleapis.com/nonsense", grpc.StatusCode.UNAUTHENTICATED, id="an unknown type"),
    ],
)
@asynchronous
async def test_what_needs_an_identity_is_refused_on_plaintext(url, code):
    async with running() as world, Client(world.address, incremental=False) as client:
        await client.send(DiscoveryRequest(type_url=url))
        assert (await client.status())[0] is code


@asynchronous
async def test_bytes_that_are_no_request_are_refused():
    async with running() as world, Client(world.address) as client:
        await client.send_bytes(b"\xff\xff\xff")
        code, details = await client.status()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "DeltaDiscoveryRequest" in details


@asynchronous
async def test_more_names_than_a_stream_may_hold_are_refused_and_others_are_served():
    async with running() as world, Client(world.address) as greedy, Client(world.address) as client:
        await client.ask(CLUSTER)
        await client.response()
        for start in range(0, 2 * MOST, MOST // 2):
            names = [f"outbound|80||{n}" for n in range(start, start + MOST // 2)]
            try:
                await greedy.ask(ENDPOINT, names)
                await greedy.response()
            except (grpc.aio.AioRpcError, AssertionError):
                break
        code, details = await greedy.status()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(MOST) in details
        world.change(put(CLUSTER, "new"))
        assert set(resources_in(await client.response())) == {"new"}


@asynchronous
async def test_before_it_is_ready_it_says_unavailable():
    async with running() as world:
        world.compiler.ready = False
        async with Client(world.address) as client:
            assert (await client.refusal())[0] is grpc.StatusCode.UNAVAILABLE


@asynchronous
async def test_health_reports_before_the_first_request_are_dropped():
    async with running() as world, Client(world.address) as client:
        await client.send(DeltaDiscoveryRequest(type_url="type.googleapis.com/istio.v1.HealthInformation"))
        client._introduced = False
        await client.ask(CLUSTER)
        assert (await client.response()).type_url == CLUSTER.url


@asynchronous
async def test_a_client_that_never_acks_gets_every_type_in_the_end():
    async with running() as world, Client(world.address) as client:
        for type_, names in ((CLUSTER, ()), (ENDPOINT, ["a"]), (LISTENER, ()), (ROUTE, ["80"])):
            await client.ask(type_, names)
            await client.response()
        world.change(*(put(type_, name, "2") for type_, name in ((CLUSTER, "a"), (ENDPOINT, "a"), (ROUTE, "80"))))
        assert [(await client.response()).type_url for _ in range(3)] == [CLUSTER.url, ENDPOINT.url, ROUTE.url]


@asynchronous
async def test_a_client_that_reads_nothing_holds_up_nobody():
    async with running() as world, Client(world.address) as slow, Client(world.address) as client:
        for each in (slow, client):
            await each.ask(CLUSTER)
        await client.response()
        await client.answer(CLUSTER.url)
        for n in range(20):
            world.change(*(put(CLUSTER, f"{n}-{i}", "x" * 100) for i in range(300)))
            assert len((await client.response()).resources) == 300
            await client.answer(CLUSTER.url)


@asynchronous
async def test_a_client_that_leaves_a_large_response_unread_holds_up_nobody():
    async with running(World(FAST._replace(large_pushes=1))) as world:
        world.change(*(put(CLUSTER, f"cluster-{n}", "x" * 120) for n in range(30_000)))
        await world.compiler.caught_up()
        async with Client(world.address) as slow, Client(world.address) as client:
            await slow.ask(CLUSTER)
            await until(lambda: world.edge.connections)
            await client.ask(CLUSTER)
            assert len((await client.response()).resources) == 30_000


@asynchronous
async def test_who_hangs_up_leaves_nothing_behind():
    world = World()
    async with running(world):
        async with Client(world.address) as client:
            await client.ask(CLUSTER)
            await client.response()
            assert len(world.edge.connections) == 1
        await until(lambda: not world.edge.connections)
        assert b"pilot_xds{" not in generate_latest(world.instruments.metrics.registry)
        assert not world.compiler._users
        assert not world.compiler._seats


@asynchronous
async def test_at_the_end_clients_are_told_to_try_elsewhere():
    async with running() as world, Client(world.address) as client:
        await client.ask(CLUSTER)
        await client.response()
        await world.edge.close()
        code, details = await client.status()
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "another" in details
        async with Client(world.address) as late:
            assert (await late.refusal())[0] is grpc.StatusCode.UNAVAILABLE


@query
def unmoved_by_endpoints(q, url, namespace):  # as clusters are, which name who may answer for them
    q.by(BY_TYPE, ENDPOINT.url)
    return Tree(thing[1] for thing in q.by(BY_TYPE, url))


@asynchronous
async def test_endpoints_that_leave_before_the_rest_is_compiled_are_followed_to_the_end():
    doubtful = {**COLLECTIONS, CLUSTER.url: Collection(unmoved_by_endpoints, lambda _: (CLUSTER.url, ""))}
    async with running(World(answers=Answers(view, doubtful))) as world, Client(world.address) as client:
        world.change(put(CLUSTER, "a"), put(ENDPOINT, "a", "1.1.1.1"))
        await world.compiler.caught_up()
        for type_, names in ((CLUSTER, ()), (ENDPOINT, ("a",))):
            await client.ask(type_, names)
            await client.response()
            await client.answer(type_.url)
        world.change(put(ENDPOINT, "a", "2.2.2.2"), endpoints=True)
        pushed = await client.response()
        assert set(resources_in(pushed)) == {"a"}
        await client.answer(ENDPOINT.url)
        record = await until(lambda: finished(world))
    assert record.causes == ("a",)
    assert record.outcomes == {Outcome.ACKED: 1}
    assert record.sent == 1
    assert b"pilot_proxy_convergence_time_count 1.0" in generate_latest(world.instruments.metrics.registry)
