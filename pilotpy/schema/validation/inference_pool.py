"""InferencePool: ports that are told apart, and a picker that can be found.

Source: the validation rules of kubernetes-sigs/gateway-api-inference-extension api/v1/inferencepool_types.go.
"""

from __future__ import annotations

from pilotpy.model.inference_pool import InferencePool
from pilotpy.model.resource import Resource
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names
from pilotpy.schema.validation.gateway_api_references import unique


def inference_pool(resource: Resource[InferencePool]) -> Problems:
    """What is wrong with an InferencePool."""
    pool, picker = resource.spec, resource.spec.endpoint_picker_ref
    yield from names.labels(pool.selector.match_labels, "spec.selector.matchLabels")
    yield from unique((one.number for one in pool.target_ports), "spec.targetPorts", "number", "ports")
    if picker and picker.kind == "Service" and picker.port is None:
        yield Problem("spec.endpointPickerRef.port", "The port is missing: a Service is asked at one of its ports")
