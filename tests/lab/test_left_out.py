"""What the lab does not do for a Pod is said when the Pod begins."""

import pytest

from pilotpy.lab.left_out import left_out
from pilotpy.model.pod import (
    Container,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSecurityContext,
    Probe,
    SecurityContext,
    SleepAction,
    TCPSocketAction,
)
from pilotpy.model.resource import Meta, Ref, Resource

PROBE = Probe(tcp_socket=TCPSocketAction(port=80))
HOOK = Lifecycle(pre_stop=LifecycleHandler(sleep=SleepAction(seconds=1)))


def said(*containers, **spec):
    return left_out(Resource(Ref("Pod", "shop", "web"), Meta(name="web"), Pod(containers=containers, **spec)))


@pytest.mark.parametrize(
    ("containers", "spec", "word"),
    [
        pytest.param([Container(readiness_probe=PROBE)], {}, "probes", id="a probe"),
        pytest.param([Container(), Container(lifecycle=HOOK)], {}, "lifecycle hooks", id="a hook of the second one"),
        pytest.param([Container(security_context=SecurityContext(run_as_user=7))], {}, "runAsUser", id="a user"),
        pytest.param([], {"security_context": PodSecurityContext(run_as_user=0)}, "runAsUser", id="root for all"),
    ],
)
def test_what_is_left_out_is_named(containers, spec, word):
    assert word in said(*containers, **spec)


def test_nothing_is_said_of_a_pod_that_asks_for_nothing_more():
    assert said(Container(image="web"), security_context=PodSecurityContext(fs_group=3)) == ""
