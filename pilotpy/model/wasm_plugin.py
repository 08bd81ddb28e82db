"""WasmPlugin: a WebAssembly filter in the proxies of a workload.

Source: istio/api extensions/v1alpha1/wasm.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pilotpy.model.message import Int32, Message
from pilotpy.model.selector import PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector

PluginType = Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]
PluginPhase = Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]
PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]
EnvValueSource = Literal["INLINE", "HOST"]
FailStrategy = Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]


class WasmPlugin(Message, frozen=True):
    """A plugin, where it comes from, and where in the chain it runs."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    url: str = ""  # required
    sha256: str = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: Mapping[str, Any] | None = None
    plugin_name: str = ""
    phase: PluginPhase = "UNSPECIFIED_PHASE"
    priority: Int32 | None = None
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


class TrafficSelector(Message, frozen=True):
    """Which direction and ports."""

    mode: WorkloadMode = "UNDEFINED"
    ports: tuple[PortSelector, ...] = ()


class VmConfig(Message, frozen=True):
    """The environment of the plugin."""

    env: tuple[EnvVar, ...] = ()


class EnvVar(Message, frozen=True):
    """An environment variable."""

    name: str = ""  # required
    value_from: EnvValueSource = "INLINE"
    value: str = ""
