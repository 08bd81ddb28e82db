"""Clusters of any size to measure: what etcd holds of them, each Service with one EndpointSlice and one Pod."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotpy.lab.cluster import assets
from tests.kube.cluster import Cluster, Object
from tests.kube.objects import endpoint_slice, pod, running, service

NAMESPACES = 100


@contextmanager
def cluster(count: int) -> Iterator[Cluster]:
    """Run a cluster that holds so many of each; where there is none to be had, this ends with a sentence."""
    try:
        programs = assets.folder()
    except assets.Missing as missing:
        sys.stderr.write(f"left out: {missing}\n")
        sys.exit(0)
    with TemporaryDirectory() as folder:
        made = Cluster(programs, Path(folder))
        try:
            made.fill(written(count))
            made.server.start()
            yield made
        finally:
            made.stop()


def written(count: int) -> Iterator[tuple[str, Object]]:
    """Keys of etcd and objects."""
    for i in range(NAMESPACES):
        yield f"namespaces/ns{i}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns{i}"}}
    for i in range(count):
        namespace, name = f"ns{i % NAMESPACES}", f"app-{i}"
        address = f"10.{96 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
        one = service(namespace, name)
        one["spec"] |= {"clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "ipFamilies": ["IPv4"]}
        yield f"services/specs/{namespace}/{name}", one
        yield f"ipaddresses/{address}", _taken(address, namespace, name)
        places = [f"10.{i >> 8 & 255}.{i & 255}.{k + 1}" for k in range(5)]
        yield f"endpointslices/{namespace}/{name}-1", endpoint_slice(namespace, name, *places)
        labels = {"app": name, "version": "v1", "pod-template-hash": "7d9f8c6b5"}
        one = running(pod(namespace, f"{name}-1", "default", **labels), places[0])
        # What real Pods are mostly made of, and what nobody here reads.
        one["spec"]["containers"][0]["env"] = [{"name": f"SETTING_{k}", "value": "x" * 40} for k in range(40)]
        one["metadata"]["annotations"] = {f"example.com/note-{k}": "x" * 300 for k in range(8)}
        yield f"pods/{namespace}/{name}-1", one


def _taken(address: str, namespace: str, name: str) -> Object:
    """What the API server notes of an address that a Service has; without, it would begin to repair."""
    labels = {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    parent = {"group": "", "resource": "services", "namespace": namespace, "name": name}
    metadata = {"name": address, "labels": labels}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": metadata,
        "spec": {"parentRef": parent},
    }
