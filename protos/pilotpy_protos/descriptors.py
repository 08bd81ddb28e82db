"""From the full name of any message of Envoy's or Istio's API to a class for it, generated or not.

EnvoyFilter and admin dumps may hold any type of the API, of which only a part is generated. The rest is one
FileDescriptorSet (`api.binpb`, see `generate.py`), read on first use: about 10 ms.
"""

from functools import cache, reduce
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import cast

from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["message_class", "message_in", "pool"]


@cache
def pool() -> DescriptorPool:
    """Every file of the API: what `json_format` needs, as `descriptor_pool`, to open any `Any`.

    Not protobuf's default pool: classes made from it are not the generated ones, though the same on the wire.
    """
    everything = DescriptorPool()
    for file in FileDescriptorSet.FromString(files(__package__).joinpath("api.binpb").read_bytes()).file:
        everything.Add(file)
    return everything


@cache
def message_class(full_name: str) -> type[Message] | None:
    """The class of the message with that name (`envoy.config.cluster.v3.Cluster`), None if the API has none such.

    The generated class where there is one, otherwise one made from `pool()`.
    """
    try:
        descriptor = pool().FindMessageTypeByName(full_name)
    except KeyError:
        return None
    module = _generated_module(descriptor.file.name)
    if module is None:
        return GetMessageClass(descriptor)
    nested = full_name.removeprefix(f"{descriptor.file.package}.").split(".")
    return cast("type[Message]", reduce(getattr, nested, cast("object", module)))


def message_in(packed: Any) -> Message | None:
    """The message that an `Any` holds, None if its type is not of the API.

    Raises `google.protobuf.message.DecodeError` if the bytes are not of that type.
    """
    of_type = message_class(packed.TypeName())
    return None if of_type is None else of_type.FromString(packed.value)


def _generated_module(file: str) -> ModuleType | None:
    """The module made from that .proto file, ours or of the distributions that own `google`; None if there is none."""
    name = file.removesuffix(".proto") + "_pb2"
    if files(__package__).joinpath(f"{name}.py").is_file():
        return import_module(f"{__package__}.{name.replace('/', '.')}")
    return import_module(name.replace("/", ".")) if name.startswith("google/") else None
