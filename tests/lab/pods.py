"""Pods and Services for tests, with no more than a test is about."""

from pilotpy.model.kubernetes import KubeService, KubeServicePort
from pilotpy.model.pod import Container, ContainerPort, Pod, PodStatus
from pilotpy.model.resource import Meta, Ref, Resource


def pod(name, address, *, labels=None, annotations=None, ports=(), **spec):
    containers = (Container(name="app", ports=tuple(ContainerPort(container_port=port) for port in ports)),)
    return Resource(
        Ref("Pod", "default", name),
        Meta(name=name, namespace="default", labels=labels or {"app": name}, annotations=annotations or {}),
        Pod(**{"containers": containers, "status": PodStatus(pod_ip=address)} | spec),
    )


def service(name, address, *ports, selector=None, namespace="default"):
    return Resource(
        Ref("Service", namespace, name),
        Meta(name=name, namespace=namespace),
        KubeService(
            ports=tuple(KubeServicePort(port=port, target_port=target, name=f"http-{port}") for port, target in ports),
            selector={"app": name} if selector is None else selector,
            cluster_ip=address,
        ),
    )
