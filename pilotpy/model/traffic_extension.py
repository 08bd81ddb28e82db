"""TrafficExtension: a WebAssembly or Lua filter in the proxies of a workload.

Source: istio/api extensions/v1alpha1/traffic_extension.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pilotpy.model.message import Choice, Int32, Message
from pilotpy.model.selector import PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector
from pilotpy.model.wasm_plugin import FailStrategy, PluginType, PullPolicy, VmConfig

ExecutionPhase = Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]


class TrafficExtension(Choice, frozen=True):
    """A filter and where in the chain it runs."""

    exclusive = (("wasm", "lua"),)

    selector: WorkloadSelector | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    phase: ExecutionPhase = "UNSPECIFIED"
    priority: Int32 | None = None
    match: tuple[TrafficSelector, ...] = ()
    wasm: WasmConfig | None = None
    lua: LuaConfig | None = None


class WasmConfig(Message, frozen=True):
    """A WebAssembly filter."""

    url: str = ""  # required
    sha256: str = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: Mapping[str, Any] | None = None
    plugin_name: str = ""
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


class LuaConfig(Message, frozen=True):
    """A Lua filter."""

    inline_code: str = ""  # required


class TrafficSelector(Message, frozen=True):
    """Which direction and ports."""

    mode: WorkloadMode = "UNDEFINED"
    ports: tuple[PortSelector, ...] = ()
