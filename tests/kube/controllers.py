"""In place of a cluster's controllers, its scheduler and its kubelet: Deployments of an API server become Pods there,
and Services EndpointSlices.

From what the API server holds to what a lab shall run; from what runs to what the API server is told. A Pod that must
go is deleted as a cluster does it: first with the time that it has, and for good once it has ended.
"""

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec

from pilotpy.model.kubernetes import EndpointSlice, KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.schema import codes
from pilotpy.schema.decode import decode_object
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.cluster import Cluster
from pilotpy.sources.kubernetes.collection import COLLECTIONS, Collection
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.wire import Read
from pilotpy.sources.rollout import PodState
from pilotpy.sources.stand_in import StandIn
from tests.kube.cluster import Object, path_of

NODE = "lab"
_MERGE = "application/merge-patch+json"
_MADE = {"Pod": "v1", "EndpointSlice": "discovery.k8s.io/v1"}


class Controllers:
    """Of one namespace. All calls come from one event loop."""

    def __init__(self, connection: Connection, namespace: str, tokens: Path) -> None:
        """`tokens`: where each Pod's is put, as NAMESPACE/POD/istio-token."""
        self.changed = asyncio.Event()
        self.services: dict[Ref, Resource[KubeService]] = {}
        self._connection = connection
        self._tokens = tokens
        self._stand_in = StandIn(observed=True)
        self._unwritten = asyncio.Queue[Change]()
        services = next(one for one in COLLECTIONS if one.kind == "Service")
        deployments = Collection("Deployment", "apps", ("v1",), "deployments", _deployment)
        self._cluster = Cluster(
            connection,
            settings=Ref("ConfigMap", "", ""),
            count=lambda name, happened: None,
            random=random.Random(1),
            collections=[one._replace(namespace=namespace) for one in (services, deployments)],
        )

    async def run(self) -> None:
        """Follow the API server and write to it, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._write())

    def wanted(self) -> tuple[Resource[Pod], ...]:
        """The Pods that should run now, sorted, with addresses."""
        return self._stand_in.wanted()

    def observe(self, pod: Ref, state: PodState) -> None:
        """Take in what a Pod does."""
        self._take(self._stand_in.observe(pod, state))

    async def _follow(self) -> None:
        async for changes in self._cluster.watch():
            wrong = [one for one in self._cluster.findings if one.code != codes.UNHEARD]
            assert not wrong, wrong
            self._take(self._stand_in.apply(changes))

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            if change.ref.kind in _MADE:
                self._unwritten.put_nowait(change)
            elif change.ref.kind == "Service" and change.new is None:
                self.services.pop(change.ref, None)
            elif change.ref.kind == "Service":
                self.services[change.ref] = change.new
        self.changed.set()

    async def _write(self) -> None:
        while True:
            ref, _, old, new = await self._unwritten.get()
            if new is None:
                await self._delete(ref, seconds=0)
            elif ref.kind == "Pod":
                await self._write_pod(old, new)
            else:
                await self._put(old, _slice(new))

    async def _write_pod(self, old: Resource[Pod] | None, new: Resource[Pod]) -> None:
        if old is not None and new.meta.deleted and not old.meta.deleted:
            await self._delete(new.ref, seconds=30)
            return
        written = await self._put(old, _pod(new))
        await self._ask("PATCH", f"{path_of(written)}/status", {"status": _status(new)}, _MERGE)
        if old is None:
            await self._give_token(written)

    async def _give_token(self, pod: Object) -> None:
        """As a kubelet mounts it: good for the mesh's authority, and for as long as the Pod is there."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
        spec = {"audiences": ["istio-ca"], "expirationSeconds": 3600, "boundObjectRef": bound}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        account = pod["spec"]["serviceAccountName"]
        answer = await self._ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", asked)
        file = self._tokens / namespace / name / "istio-token"
        file.parent.mkdir(parents=True)
        new = file.with_suffix(".new")
        new.write_text(answer["status"]["token"])
        new.replace(file)

    async def _put(self, old: Resource[Any] | None, one: Object) -> Object:
        """Write an object; of a Pod that is there, all that may change is what it is called by."""
        if old is None:
            return await self._ask("POST", path_of(one, with_name=False), one)
        change = {"metadata": one["metadata"]} if one["kind"] == "Pod" else one
        return await self._ask("PATCH", path_of(one), change, _MERGE)

    async def _delete(self, ref: Ref, *, seconds: int) -> None:
        metadata = {"namespace": ref.namespace, "name": ref.name}
        path = path_of({"apiVersion": _MADE[ref.kind], "kind": ref.kind, "metadata": metadata})
        await self._ask("DELETE", path, {"gracePeriodSeconds": seconds})

    async def _ask(self, method: str, path: str, body: Object, content: str = "application/json") -> Object:
        answer = await self._connection.ask(method, path, body, content=content)
        return dict(msgspec.json.decode(answer))


def _deployment(text: bytes | msgspec.Raw) -> Read:
    raw = {"apiVersion": "apps/v1", "kind": "Deployment"} | msgspec.json.decode(text)
    resource, findings = decode_object(raw)
    return Read(resource.ref if resource else None, resource, tuple(findings))


def _pod(one: Resource[Pod]) -> Object:
    spec = msgspec.to_builtins(one.spec)
    del spec["status"]
    account = one.spec.service_account_name or "default"
    spec |= {"nodeName": NODE, "serviceAccountName": account, "serviceAccount": account}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(one.meta), "spec": spec}


def _status(one: Resource[Pod]) -> Object:
    status = one.spec.status
    return {
        "phase": status.phase,
        "podIP": status.pod_ip,
        "podIPs": [{"ip": status.pod_ip}],
        "conditions": [{"type": condition.type, "status": condition.status} for condition in status.conditions],
    }


def _slice(one: Resource[EndpointSlice]) -> Object:
    about = {"apiVersion": _MADE["EndpointSlice"], "kind": "EndpointSlice", "metadata": _metadata(one.meta)}
    return about | msgspec.to_builtins(one.spec)


def _metadata(meta: Meta) -> Object:
    labels, annotations = dict(meta.labels), dict(meta.annotations)
    return {"namespace": meta.namespace, "name": meta.name, "labels": labels, "annotations": annotations}
