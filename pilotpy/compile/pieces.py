"""Small Envoy messages that occur in many resources: addresses, where to ask for more, packed configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from pilotpy.compile.metadata import ISTIO, config_path
from pilotpy.compile.wire import packed
from pilotpy.model.resource import Ref
from pilotpy_protos.envoy.config.core.v3.address_pb2 import Address, CidrRange, Pipe, SocketAddress
from pilotpy_protos.envoy.config.core.v3.base_pb2 import Metadata
from pilotpy_protos.envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from pilotpy_protos.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from pilotpy_protos.envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from pilotpy_protos.envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import (
    PreserveCaseFormatterConfig,
)
from pilotpy_protos.xds.type.v3.typed_struct_pb2 import TypedStruct

_TYPES = "type.googleapis.com/"


def packed_struct(type_name: str, value: Mapping[str, Any]) -> Packed:
    """A configuration of a type that this Envoy's API may not have, as a TypedStruct in an Any."""
    struct = TypedStruct(type_url=_TYPES + type_name)
    struct.value.update(value)
    return packed(struct)


def flag(value: bool) -> BoolValue:  # noqa: FBT001 - it is the value
    """A boolean that may be absent, present."""
    return BoolValue(value=value)


def number(value: int) -> UInt32Value:
    """A number that may be absent, present."""
    return UInt32Value(value=value)


def address(host: str, port: int) -> Address:
    """A TCP address, or that of a Unix socket if the host starts with `unix://` (the port is then unused)."""
    if host.startswith("unix://"):
        return Address(pipe=Pipe(path=host.removeprefix("unix://")))
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def prefix_range(text: str) -> CidrRange:
    """The range that "10.0.0.0/8" names; an address without a length names itself."""
    prefix, _, length = text.partition("/")
    whole = 128 if ":" in prefix else 32
    return CidrRange(address_prefix=prefix, prefix_len=number(int(length) if length else whole))


def preserved_case() -> Http1ProtocolOptions.HeaderKeyFormat:
    """Names of headers are written as they were read."""
    formatter = TypedExtensionConfig(name="preserve_case", typed_config=packed(PreserveCaseFormatterConfig()))
    return Http1ProtocolOptions.HeaderKeyFormat(stateful_formatter=formatter)


def ads() -> ConfigSource:
    """More is to be asked for on the same stream, and waited for without limit."""
    source = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
    source.initial_fetch_timeout.SetInParent()
    return source


def origin(ref: Ref) -> Metadata:
    """Metadata that names the object which a piece of configuration comes from, as istiod writes it."""
    metadata = Metadata()
    metadata.filter_metadata[ISTIO].update({"config": config_path(ref)})
    return metadata
