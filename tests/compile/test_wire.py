"""Bytes written by hand are those that protobuf writes."""

from hypothesis import given
from hypothesis import strategies as st

from pilotpy.compile.arrangement import Group
from pilotpy.compile.load_assignment import load_assignment
from pilotpy.compile.metadata import filter_metadata
from pilotpy.compile.wire import delimited, integer, serialised, varint
from pilotpy.mesh.service import Endpoint, Health, Locality
from pilotpy_protos.envoy.config.core.v3.base_pb2 import Metadata
from pilotpy_protos.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

words = st.text(max_size=200)
values = st.recursive(
    words | st.booleans(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
endpoints = st.builds(
    Endpoint,
    address=st.ip_addresses().map(str) | st.just("a.example.com"),
    port=st.integers(1, 65535),
    port_name=st.just("http"),
    weight=st.integers(1, 2**32 - 1),
    health=st.sampled_from(Health),
    workload=words,
    namespace=words,
)
groups = st.builds(
    Group,
    st.builds(Locality, words, words, words),
    st.integers(0, 128),
    st.integers(1, 2**32 - 1),
    st.lists(endpoints, min_size=1, max_size=4).map(tuple),
)


# Where a length takes one byte more.
sizes = st.integers(0, 300) | st.sampled_from((0x7F, 0x80, 0x3FFF, 0x4000))


@given(st.integers(0, 2**64 - 1), sizes.map(bytes), st.integers(1, 20) | st.integers(1, 2**28))
def test_fields_are_read_back_as_unknown_ones(number, body, field):
    # A message that knows none of these fields keeps them, byte for byte, if they are well formed.
    written = varint(field << 3) + varint(number) + delimited(field + 1, body) + integer(field + 2, number)
    assert Metadata.FromString(delimited(9, written)).SerializeToString() == delimited(9, written)


@given(st.dictionaries(words, values, max_size=4))
def test_metadata(fields):
    expected = Metadata()
    expected.filter_metadata["istio"].update(fields)
    read = Metadata.FromString(filter_metadata("istio", fields))
    assert read == expected
    assert serialised(read) == serialised(expected)


@given(st.text(min_size=1), st.lists(groups, max_size=3))
def test_assignments(name, members):
    expected = ClusterLoadAssignment(cluster_name=name)
    for group in members:
        out = expected.endpoints.add(priority=group.priority)
        out.load_balancing_weight.value = group.weight
        out.locality.SetInParent()
        out.locality.region, out.locality.zone, out.locality.sub_zone = group.locality
        for endpoint in group.endpoints:
            listed = out.lb_endpoints.add(health_status=endpoint.health.value)
            listed.load_balancing_weight.value = endpoint.weight
            listed.endpoint.address.socket_address.address = endpoint.address
            listed.endpoint.address.socket_address.port_value = endpoint.port
            workload = f"{endpoint.workload};{endpoint.namespace};{endpoint.workload};;Kubernetes"
            listed.metadata.filter_metadata["istio"].update({"workload": workload})
    assert load_assignment(name, members) == serialised(expected)
