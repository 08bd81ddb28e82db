"""ProxyConfig, the resource: settings of the proxies of a namespace or workload.

Source: istio/api networking/v1beta1/proxy_config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.model.message import Int32, Message
from pilotpy.model.selector import WorkloadSelector


class ProxyConfig(Message, frozen=True):
    """Settings for the workloads that it selects."""

    selector: WorkloadSelector | None = None
    concurrency: Int32 | None = None
    environment_variables: Mapping[str, str] = {}
    image: ProxyImage | None = None


class ProxyImage(Message, frozen=True):
    """Which of the proxy's images is injected."""

    image_type: str = ""
