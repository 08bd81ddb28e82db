"""From the environment of an injected container to the node that its proxy announces.

Source  istio/istio ``pkg/bootstrap/config.go`` (ISTIO_META_, ISTIO_METAJSON_, ``/etc/istio/pod``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pilotpy.agent.node import Node
from pilotpy.ops.settings import Wrong

_TEXT: Final = "ISTIO_META_"
_JSON: Final = "ISTIO_METAJSON_"
_PAIR: Final = re.compile(r'^([^=\s]+)=("(?:[^"\\]|\\.)*")$', re.MULTILINE)


def node(environment: Mapping[str, str], root: Path = Path("/")) -> Node:
    """The node of a sidecar. ``root``: where the pod's labels and annotations are below. Raises Wrong."""
    name = environment.get("POD_NAME", "")
    namespace = environment.get("POD_NAMESPACE", "")
    addresses = environment.get("INSTANCE_IP", "")
    missing = [
        variable
        for variable, value in (("POD_NAME", name), ("POD_NAMESPACE", namespace), ("INSTANCE_IP", addresses))
        if not value
    ]
    if missing:
        raise Wrong(f"the environment lacks {', '.join(missing)}")
    labels = _pairs(root / "etc/istio/pod/labels")
    labels.pop("pod-template-hash", None)
    metadata: dict[str, Any] = {
        "INSTANCE_IPS": addresses,
        "LABELS": labels,
        "ANNOTATIONS": _pairs(root / "etc/istio/pod/annotations"),
        "NAME": name,
        "NAMESPACE": namespace,
        "SERVICE_ACCOUNT": environment.get("SERVICE_ACCOUNT") or "default",
    }
    for variable, value in sorted(environment.items()):
        if variable.startswith(_TEXT):
            metadata[variable.removeprefix(_TEXT)] = value
        elif variable.startswith(_JSON):
            metadata |= _merged(variable, value, metadata)
    domain = environment.get("ISTIO_META_DNS_DOMAIN") or f"{namespace}.svc.cluster.local"
    app = labels.get("app") or metadata.get("WORKLOAD_NAME") or "istio-proxy"
    address = addresses.partition(",")[0]
    return Node(
        id=f"sidecar~{address}~{name}.{namespace}~{domain}",
        cluster=f"{app}.{namespace}",
        metadata={key: value for key, value in sorted(metadata.items()) if value not in ({}, "")},
    )


def _merged(variable: str, text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping is merged into the metadata, as the injector's labels are into those of the file."""
    key = variable.removeprefix(_JSON)
    try:
        value = msgspec.json.decode(text)
    except msgspec.MsgspecError as wrong:
        raise Wrong(f"{variable}: {wrong}") from wrong
    known = metadata.get(key)
    return {key: {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value}


def _pairs(file: Path) -> dict[str, str]:
    """What the downward API wrote; empty without a file."""
    try:
        text = file.read_text()
    except OSError:
        return {}
    return {key: msgspec.json.decode(value, type=str) for key, value in _PAIR.findall(text)}
