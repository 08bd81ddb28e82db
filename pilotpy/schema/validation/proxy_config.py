"""ProxyConfig, the resource: settings that Istio admits.

Source: istio/istio pkg/config/validation/validation.go, ValidateProxyConfig.
"""

from __future__ import annotations

from pilotpy.model.proxy_config import ProxyConfig
from pilotpy.model.resource import Resource
from pilotpy.schema.problem import Problems
from pilotpy.schema.validation import values
from pilotpy.schema.validation.selectors import policy_selector


def proxy_config(resource: Resource[ProxyConfig]) -> Problems:
    """What is wrong with a ProxyConfig."""
    yield from policy_selector(resource.spec.selector, "spec")
    yield from values.not_negative(resource.spec.concurrency or 0, "spec.concurrency")
