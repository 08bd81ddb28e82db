"""A control plane of a cluster, and clients who prove to it who they are as Pods do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc.aio

from pilotpy.follow import following
from pilotpy.gather import gathered
from pilotpy.kube.accounts import Rhythm
from pilotpy.kube.csr_signer import Signer
from pilotpy.kube.keys import ClusterKeys
from pilotpy.kube.leases import Terms as LeaseTerms
from pilotpy.ops.clock import Clock
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.sources.kubernetes.connection import Connection
from pilotpy.sources.kubernetes.login import default_login
from pilotpy.xds.server import Server
from pilotpy_ca.keys import KeyType
from pilotpy_ca.terms import Terms
from pilotpy_protos.istio.v1.auth.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from tests.authority.plane import CREATE, SETTINGS, Workload, bearer
from tests.kube.cluster import Cluster, Object, Refused
from tests.kube.waiting import eventually
from tests.xds.client import OPTIONS, Client, node_id

TERMS = Terms(key_type=KeyType.P256, settle=timedelta(seconds=1))
RHYTHM = Rhythm(*(timedelta(seconds=one) for one in (2, 1, 6)), bytes_a_second=1e9)
QUICK = LeaseTerms(timedelta(seconds=2), timedelta(seconds=1), timedelta(seconds=0.3))


@dataclass
class Plane:
    """One that runs, seen from outside: by its port, and by what is in the cluster."""

    server: Server
    cluster: Cluster
    system: str  # its own namespace

    def roots(self, namespace: str) -> bytes:
        """What Pods of a namespace are given to believe."""
        return eventually(lambda: roots_in(self.cluster, namespace)).encode()

    def channel(self, roots: bytes) -> grpc.aio.Channel:
        name = f"istiod.{self.system}.svc"
        options = [*OPTIONS, ("grpc.ssl_target_name_override", name)]
        return grpc.aio.secure_channel(self.server.secure_address, grpc.ssl_channel_credentials(roots), options)

    async def certificate(self, workload: Workload, token: str, roots: bytes, **metadata: str) -> list[str]:
        """What CreateCertificate answers. Raises `grpc.aio.AioRpcError`."""
        async with self.channel(roots) as channel:
            call = channel.unary_unary(
                CREATE,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            request = IstioCertificateRequest(csr=workload.csr())
            answer = await call(request, metadata=(*bearer(token), *metadata.items()), timeout=15)
        return list(answer.cert_chain)

    def proxy(self, pod: str, namespace: str, token: str, roots: bytes) -> Client:
        """A client of ADS on port 15012."""
        return Client(
            "",
            node_id(pod, namespace),
            {"NAMESPACE": namespace},
            channel=self.channel(roots),
            headers=bearer(token),
        )


def roots_in(cluster: Cluster, namespace: str) -> str:
    """The roots in a namespace; "" if there are none."""
    try:
        return str(cluster.admin.read(roots_of(namespace))["data"]["root-cert.pem"])
    except Refused as refused:
        if refused.status != 404:
            raise
        return ""


def roots_of(namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "istio-ca-root-cert"}}


def pod(cluster: Cluster, namespace: str, name: str) -> Object:
    """A Pod with a service account of its own, both of one name."""
    cluster.account(namespace, name)
    spec = {"serviceAccountName": name, "containers": [{"name": "app", "image": "none"}]}
    metadata = {"namespace": namespace, "name": name, "labels": {"app": name}}
    return cluster.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


@asynccontextmanager
async def plane(
    cluster: Cluster,
    system: str,
    *,
    kubeconfig: Path | None = None,
    settings: Settings = SETTINGS,
    signer: Signer | None = None,
    lease: LeaseTerms = QUICK,
    clock: Clock | None = None,
) -> AsyncIterator[Plane]:
    login = default_login(kubeconfig or cluster.kubeconfig)
    settings, watched_with = settings._replace(system_namespace=system), instruments(clock)
    servers: dict[str, Connection] = {}
    keys = ClusterKeys(login, TERMS, lease=lease, rhythm=RHYTHM, signer=signer, elsewhere=servers)
    async with (
        gathered(Folder(()), login, settings, watched_with.metrics, servers) as source,
        following(source, settings, keys, watched_with) as server,
    ):
        yield Plane(server, cluster, system)
