"""pilotpy_protos: Envoy's API whole, under one name, at peace with its neighbours."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import files
from importlib.resources import files as package
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from pilotpy_protos.descriptors import message_class, message_in, pool
from pilotpy_protos.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pilotpy_protos.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from pilotpy_protos.istio.filters import alpn_pb2, metadata_exchange_pb2, peer_metadata_pb2, stats_pb2
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse

HOME = Path(str(package("pilotpy_protos")))
OAUTH2 = "envoy.extensions.filters.http.oauth2.v3.OAuth2"


def test_every_module_imports_beside_its_neighbours():
    modules = [path.relative_to(HOME.parent).with_suffix("").as_posix() for path in HOME.rglob("*_pb2.py")]
    assert len(modules) > 150
    neighbours = [
        "google.api.annotations_pb2",
        "google.rpc.error_details_pb2",
        "google.type.latlng_pb2",
        "grpc_health.v1.health_pb2",
        "grpc_reflection.v1alpha.reflection",
        "envoy_data_plane",
        "envoy",
    ]
    imports = [module.replace("/", ".") for module in modules]
    for order in ([*neighbours, *imports], [*imports, *neighbours]):
        program = "import " + ", ".join(order)
        subprocess.run([sys.executable, "-"], input=program, text=True, check=True)


def test_nothing_is_installed_outside_the_one_name():
    tops = {file.parts[0] for file in files("pilotpy-protos") or ()}
    assert not [top for top in tops if not top.startswith(("pilotpy_protos", "__editable__"))]


def test_names_on_the_wire_stay_envoys():
    assert Cluster.DESCRIPTOR.full_name == "envoy.config.cluster.v3.Cluster"
    assert Cluster.__module__ == "pilotpy_protos.envoy.config.cluster.v3.cluster_pb2"


@pytest.mark.parametrize(
    ("full_name", "known"),
    [
        pytest.param("envoy.config.cluster.v3.Cluster", Cluster, id="a generated type is its generated class"),
        pytest.param(
            "envoy.config.cluster.v3.Cluster.CommonLbConfig",
            Cluster.CommonLbConfig,
            id="a nested generated type is its generated class",
        ),
        pytest.param("google.protobuf.Struct", Struct, id="a type of protobuf itself is protobuf's class"),
        pytest.param("stats.PluginConfig", stats_pb2.PluginConfig, id="Istio's types are known too"),
        pytest.param("envoy.config.cluster.v3.Clutter", None, id="an unknown name gives nothing"),
        pytest.param("envoy.config.cluster.v3.Cluster.LbPolicy", None, id="an enum gives nothing"),
    ],
)
def test_message_class(full_name, known):
    assert message_class(full_name) is known


def test_a_type_that_is_not_generated_has_a_class_all_the_same():
    oauth2 = message_class(OAUTH2)
    assert oauth2 is not None
    assert oauth2.DESCRIPTOR.full_name == OAUTH2
    with pytest.raises(ModuleNotFoundError):
        import_module("pilotpy_protos.envoy.extensions.filters.http.oauth2.v3.oauth_pb2")


def test_json_opens_a_type_that_is_not_generated():
    written = {
        "name": "oauth",
        "typed_config": {
            "@type": f"type.googleapis.com/{OAUTH2}",
            "config": {"signout_path": {"path": {"exact": "/"}}},
        },
    }
    config = ParseDict(written, TypedExtensionConfig(), descriptor_pool=pool())
    assert MessageToDict(config, preserving_proto_field_name=True, descriptor_pool=pool()) == written
    opened = message_in(config.typed_config)
    assert opened is not None
    assert opened.DESCRIPTOR.full_name == OAUTH2


def test_what_is_not_of_the_api_stays_closed():
    assert message_in(Any(type_url="type.googleapis.com/no.such.Type", value=b"\x0a\x00")) is None


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (IstioCertificateRequest(csr="c", validity_duration=1), b"\x0a\x01c\x18\x01"),
        (IstioCertificateResponse(cert_chain=["a"]), b"\x0a\x01a"),
        (NameTable(table={"h": NameTable.NameInfo(ips=["1"])}), b"\x0a\x08\x0a\x01h\x12\x03\x0a\x011"),
        (NameTable.NameInfo(registry="r", shortname="s", namespace="n"), b"\x12\x01r\x1a\x01s\x22\x01n"),
        (ProxyConfig(ca_certificates_pem=["a"]), b"\x92\x02\x01a"),
        (alpn_pb2.FilterConfig.AlpnOverride(upstream_protocol="HTTP2", alpn_override=["a"]), b"\x08\x02\x12\x01a"),
        (stats_pb2.PluginConfig(disable_host_header_fallback=True, reporter="SERVER_GATEWAY"), b"\x30\x01\x50\x01"),
        (
            stats_pb2.MetricConfig(name="n", tags_to_remove=["t"], match="m", drop=True),
            b"\x12\x01n\x1a\x01t\x22\x01m(\x01",
        ),
        (metadata_exchange_pb2.MetadataExchange(protocol="p", enable_discovery=True), b"\x0a\x01p\x10\x01"),
        (peer_metadata_pb2.Config(shared_with_upstream=True, additional_labels=["a"]), b"\x28\x012\x01a"),
    ],
    ids=lambda value: value.DESCRIPTOR.full_name if hasattr(value, "DESCRIPTOR") else "",
)
def test_istios_field_numbers(message, wire):
    assert message.SerializeToString(deterministic=True) == wire
