"""From the bootstrap that an Envoy started with to the few lines that name its versions.

Source: istioctl/pkg/writer/envoy/configdump/configdump.go (PrintBootstrapSummary).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(bootstrap_dump: Mapping[str, Any]) -> list[str]:
    """Return what runs: "Istio Version: ...", "Envoy Version: ..."; without what it does not say."""
    node = bootstrap_dump.get("bootstrap", {}).get("node", {})
    metadata = node.get("metadata", {})
    told = {
        "Istio Version": metadata.get("ISTIO_VERSION", ""),
        "Istio Proxy Version": str(metadata.get("ISTIO_PROXY_SHA", "")).rpartition(":")[2],
        "Envoy Version": _envoy(node.get("user_agent_build_version", {})),
    }
    width = max(map(len, told))
    return [f"{f'{name}:':<{width + 1}} {value}" for name, value in told.items() if value]


def _envoy(build: Mapping[str, Any]) -> str:
    if not build:
        return ""
    version, metadata = build.get("version", {}), build.get("metadata", {})
    number = ".".join(str(version.get(key, 0)) for key in ("major_number", "minor_number", "patch"))
    label = f"-{metadata['build.label']}" if "build.label" in metadata else ""
    rest = [metadata[key] for key in ("revision.status", "build.type", "ssl.version") if key in metadata]
    return "/".join([number + label, *rest])
