"""What a Pod asks of a kubelet that the lab does not do: it runs one program per Pod, under its own user."""

from __future__ import annotations

from pilotpy.model.pod import Pod
from pilotpy.model.resource import Resource


def left_out(pod: Resource[Pod]) -> str:
    """Return a sentence that names what of a Pod is not done; "": all is."""
    spec = pod.spec
    contexts = (spec.security_context, *(one.security_context for one in spec.containers))
    asked = {
        "lifecycle hooks": any(one.lifecycle for one in spec.containers),
        "probes": any(one.readiness_probe or one.liveness_probe or one.startup_probe for one in spec.containers),
        "runAsUser": any(one is not None and one.run_as_user is not None for one in contexts),
    }
    names = [name for name, there in asked.items() if there]
    return f"the lab leaves out {', '.join(names)}: a Pod is ready once its ports are open" if names else ""
