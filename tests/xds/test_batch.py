"""Bodies joined by hand are what protobuf reads and would have written."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotpy.compile.encoded import EMPTY, Encoded, Rope, Tree
from pilotpy.xds.batch import Batch, Batches, response, version_of
from pilotpy.xds.names import MOST, MOST_CHARACTERS, TooManyNames, interned
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, ROUTE
from pilotpy_protos.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pilotpy_protos.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, DiscoveryResponse

RESOURCES = st.lists(
    st.tuples(st.text(max_size=300), st.binary(max_size=300)), max_size=5, unique_by=lambda pair: pair[0]
).map(lambda pairs: tuple(Encoded(name, body) for name, body in pairs))


@given(RESOURCES, st.text(), st.text())
def test_a_state_of_the_world_response_is_what_protobuf_makes_of_it(resources, version, nonce):
    built = DiscoveryResponse(version_info=version, nonce=nonce, type_url=CLUSTER.url)
    for resource in resources:
        built.resources.add(type_url=CLUSTER.url, value=bytes(resource))
    assert DiscoveryResponse.FromString(response(CLUSTER, Batch(resources), version, nonce, incremental=False)) == built


@given(RESOURCES, st.lists(st.text()), st.text(), st.text())
def test_an_incremental_response_is_what_protobuf_makes_of_it(resources, removed, version, nonce):
    built = DeltaDiscoveryResponse(
        system_version_info=version, nonce=nonce, type_url=CLUSTER.url, removed_resources=removed
    )
    for resource in resources:
        made = built.resources.add(name=resource.name, version=version_of(resource))
        made.resource.type_url, made.resource.value = CLUSTER.url, bytes(resource)
    batch = Batch(resources, removed)
    assert DeltaDiscoveryResponse.FromString(response(CLUSTER, batch, version, nonce, incremental=True)) == built


def test_a_rope_is_joined_in_order():
    route = Encoded("r", Rope([b"\x0a", Rope([b"\x01", b"r"])]))
    sent = DiscoveryResponse.FromString(response(ROUTE, Batch([route]), "", "", incremental=False))
    assert RouteConfiguration.FromString(sent.resources[0].value).name == "r"


def test_the_empty_route_validates_no_clusters():
    stand_in = RouteConfiguration.FromString(bytes(ROUTE.missing("80")))
    assert stand_in.name == "80"
    assert stand_in.HasField("validate_clusters")
    assert not stand_in.validate_clusters.value


def test_clients_with_the_same_collection_and_names_share_a_batch():
    batches, tree = Batches(), Tree([Encoded("a", b"1")])
    again = Tree([Encoded("a", b"1")])
    assert batches.changes(EMPTY, tree, None) is batches.changes(EMPTY, again, None)
    assert batches.whole(ENDPOINT, tree, interned(["a"])) is batches.whole(ENDPOINT, tree, interned(["a"]))


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "state of the world"])
def test_a_response_is_joined_once_for_all_who_are_told_the_same(incremental):
    batch = Batch([Encoded("a", b"1")], ["b"])
    first, again, other, fresh = (
        response(CLUSTER, of, version, f"{version}/1", incremental=incremental)
        for of, version in ((batch, "v1"), (batch, "v1"), (batch, "v20"), (Batch(batch.resources, ["b"]), "v20"))
    )
    assert first is again
    assert first != other == fresh


def test_what_is_kept_is_bounded_in_bytes():
    batches = Batches(room=1000)
    for n in range(100):
        batches.whole(CLUSTER, Tree([Encoded(f"{n}", b"x" * 100)]), None)
    assert len(batches._kept) == 10


def test_equal_sets_of_names_are_one_object_until_nobody_holds_them():
    one = interned(f"outbound|80||{n}" for n in range(1000))
    assert interned(f"outbound|80||{n}" for n in range(1000)) is one
    del one
    gc.collect()
    assert interned(["only"]) is not None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([str(n) for n in range(MOST + 1)], id="too many"),
        pytest.param(["x" * (MOST_CHARACTERS // 2), "y" * (MOST_CHARACTERS // 2 + 1)], id="too long"),
    ],
)
def test_names_have_a_bound(names):
    with pytest.raises(TooManyNames):
        interned(names)
