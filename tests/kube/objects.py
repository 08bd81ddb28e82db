"""Objects as users and controllers write them."""

from typing import Any

Object = dict[str, Any]


def service(namespace: str, name: str, port: int = 80) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def pod(namespace: str, name: str, account: str = "default", **labels: str) -> Object:
    """A Pod that is wanted; it runs once somebody writes its status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            "nodeName": "node-1",
            "containers": [{"name": "app", "image": "none", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
    }


def running(one: Object, address: str) -> Object:
    """The same Pod as its kubelet reports it."""
    conditions = [{"type": "Ready", "status": "True"}]
    return one | {
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    }


def endpoint_slice(namespace: str, of: str, *addresses: str, port: int = 8080) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": f"{of}-1", "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }


def config_map(namespace: str, name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": data,
    }


def definition(plural: str, kind: str, group: str, *versions: str) -> Object:
    """A CustomResourceDefinition that takes everything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": name, "served": True, "storage": name == versions[0], "schema": {"openAPIV3Schema": schema}}
                for name in versions
            ],
        },
    }


def virtual_service(namespace: str, name: str, to: str, host: str = "", version: str = "v1") -> Object:
    """All requests to a host go to a service."""
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "VirtualService",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"hosts": [host or name], "http": [{"route": [{"destination": {"host": to}}]}]},
    }
