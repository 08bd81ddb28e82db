"""The structs of the model hold together: every annotation resolves, every name is the API's own."""

import importlib
import pkgutil
import re

import msgspec
import pytest

import pilotpy.model
from pilotpy.model.message import Duration, Message, Part
from pilotpy.schema.kinds import SCHEMAS


def structs():
    for module in pkgutil.iter_modules(pilotpy.model.__path__):
        for one in vars(importlib.import_module(f"pilotpy.model.{module.name}")).values():
            if isinstance(one, type) and issubclass(one, Message | Part):
                yield one


STRUCTS = sorted(set(structs()), key=lambda one: (one.__module__, one.__name__))


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda one: f"{one.__module__.rpartition('.')[2]}.{one.__name__}")
def test_every_field_can_be_read_from_json_and_is_frozen(struct):
    msgspec.json.Decoder(struct, dec_hook=lambda expected, value: expected(value))
    assert struct.__struct_config__.frozen
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", name) for name in struct.__struct_encode_fields__)


CAMEL = [
    ("OutlierDetection", "consecutive_5xx_errors", "consecutive5xxErrors"),
    ("HTTPSettings", "http2_max_requests", "http2MaxRequests"),
    ("LocalityLoadBalancerSetting", "locality", None),
    ("ZipkinTracingProvider", "enable_64bit_trace_id", "enable64bitTraceId"),
    ("MeshConfig", "mesh_mtls", "meshMTLS"),
    ("Source", "not_ip_blocks", "notIpBlocks"),
    ("KubeService", "cluster_ip", "clusterIP"),
    ("PodStatus", "pod_ips", "podIPs"),
    ("Rule", "from_", "from"),
]


@pytest.mark.parametrize(("struct", "field", "name"), CAMEL)
def test_names_in_json_are_the_apis_even_where_they_are_odd(struct, field, name):
    (one,) = (one for one in STRUCTS if one.__name__ == struct)
    names = dict(zip(one.__struct_fields__, one.__struct_encode_fields__, strict=True))
    assert names.get(field) == name


def test_a_duration_is_a_timedelta():
    assert Duration(seconds=1) + Duration(seconds=2) == Duration(seconds=3)


def test_each_kind_has_a_spec_of_its_own():
    specs = [schema.spec for schema in SCHEMAS.values()]
    assert len(specs) == len(set(specs))
