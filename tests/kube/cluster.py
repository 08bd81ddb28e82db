"""A cluster without machines: a real kube-apiserver and its etcd on loopback, and a plain client for it.

No controllers run beside it. Nobody schedules Pods, makes EndpointSlices or service accounts, or finishes the
deletion of a namespace, unless the test does; so each test takes a namespace of its own and leaves it behind.
"""

import contextlib
import json
import signal
import socket
import ssl
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pilotpy.lab.cluster.api_server import etcd_command, kubeconfig, server_command
from pilotpy.lab.cluster.credentials import Authority
from tests.kube.process import Program

Object = dict[str, Any]
_JSON = "application/json"


class Refused(Exception):
    """An answer of the API server that is not a success."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', '')}")
        self.status = status
        self.reason = body.get("reason", "")


class Client:
    """Plain requests, JSON in and out, as one user."""

    def __init__(self, url: str, context: ssl.SSLContext, token: str = "") -> None:
        self.url = url
        self._token = token
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def request(self, method: str, path: str, body: Any = None, content: str = _JSON, patience: float = 30) -> Object:
        """The decoded answer. Raises Refused, OSError."""
        request = urllib.request.Request(self.url + path, method=method)
        request.data = None if body is None else json.dumps(body).encode()
        request.add_header("Content-Type", content)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=patience) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            body = json.loads(text) if text.startswith(b"{") else {"message": text.decode(errors="replace")}
            raise Refused(error.code, body) from None
        return json.loads(text) if text.startswith((b"{", b"[")) else {}

    def create(self, *objects: Object) -> Object:
        """Create objects; return the last as the server has it."""
        return [self.request("POST", path_of(one, with_name=False), one) for one in objects][-1]

    def replace(self, one: Object) -> Object:
        return self.request("PUT", path_of(one), one)

    def status(self, one: Object) -> Object:
        """Write the status of an object that is there."""
        patch = {"status": one["status"]}
        return self.request("PATCH", f"{path_of(one)}/status", patch, "application/merge-patch+json")

    def patch(self, one: Object, change: Object) -> Object:
        return self.request("PATCH", path_of(one), change, "application/merge-patch+json")

    def delete(self, one: Object) -> Object:
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        return self.request("DELETE", path_of(one), options)

    def read(self, one: Object) -> Object:
        return self.request("GET", path_of(one))

    def token(self, namespace: str, account: str, audience: str = "istio-ca", pod: Object | None = None) -> str:
        """A token as the kubelet mounts it: of a service account that is there, bound to a Pod if one is given."""
        spec: Object = {"audiences": [audience] if audience else [], "expirationSeconds": 3600}
        if pod:
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            }
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.request("POST", path, asked)["status"]["token"])


class Cluster:
    """The two servers, and those who may talk to them."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.admin_files = self.authority.issue("admin", "system:masters")
        self.admin = Client(self.url, self._context(self.admin_files))
        self.kubeconfig = self._kubeconfig("admin", self.admin_files)
        self.etcd = Program(etcd_command(assets, folder, self._etcd_url), folder / "etcd.log", self._etcd_is_ready)
        self.server = Program(self._server(assets, port), folder / "kube-apiserver.log", self._is_ready)

    def start(self) -> None:
        self.etcd.start()
        self.server.start()

    def fill(self, objects: Iterable[tuple[str, Object]]) -> None:
        """Start etcd, and put objects under their keys: thousands, before there is an API server to be asked."""
        self.etcd.start()
        puts = [
            {"requestPut": {"key": _base64(f"/registry/{key}"), "value": _base64(json.dumps(_stored(one)))}}
            for key, one in objects
        ]
        for i in range(0, len(puts), 100):
            self._ask_etcd("txn", {"success": puts[i : i + 100]})

    def stop(self) -> None:
        self.server.stop(signal.SIGKILL)
        self.etcd.stop(signal.SIGKILL)

    def restart(self, *, compacted: bool = False) -> None:
        """End the API server and start it again; compacted, watches can no longer go on where they were."""
        self.server.stop(patience=3)  # it would wait a minute for those who watch
        if compacted:
            self.compact()
        self.server.start()

    def compact(self) -> None:
        """Forget all old versions in etcd. An API server that runs goes on serving those that it has in memory."""
        now = self._ask_etcd("range", {"key": "AA=="})["header"]["revision"]
        with contextlib.suppress(urllib.error.HTTPError):  # compacted up to here already
            self._ask_etcd("compaction", {"revision": now, "physical": True})

    def client(self, token: str) -> Client:
        """A client that has nothing but a token."""
        return Client(self.url, self._context(), token)

    def user(self, name: str, *groups: str) -> Client:
        """A client with a certificate."""
        return Client(self.url, self._context(self.authority.issue(name, *groups)))

    def kubeconfig_for(self, name: str, user: Object) -> Path:
        """A kubeconfig with one context, whose user is as given: {"token": ...}."""
        cluster = {"server": self.url, "certificate-authority": str(self.authority.certificate)}
        return kubeconfig(self.folder / f"{name}.kubeconfig", cluster, user)

    def namespace(self, prefix: str = "test-", **labels: str) -> str:
        """A namespace that nobody else has."""
        metadata = {"generateName": prefix, "labels": labels}
        made = self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return str(made["metadata"]["name"])

    def account(self, namespace: str, name: str) -> None:
        """Make a service account."""
        self.admin.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}
        )

    def _kubeconfig(self, name: str, files: tuple[Path, Path]) -> Path:
        certificate, key = map(str, files)
        return self.kubeconfig_for(name, {"client-certificate": certificate, "client-key": key})

    def _context(self, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if files:
            context.load_cert_chain(*files)
        return context

    def _server(self, assets: Path, port: int) -> list[str]:
        # Its controllers do not run: there are no default service accounts to be mounted.
        command = server_command(assets, self.authority, self._etcd_url, port, "127.0.0.1")
        return [*command, "--disable-admission-plugins=ServiceAccount"]

    def _etcd_is_ready(self) -> bool:
        try:
            self._ask_etcd("range", {"key": "AA=="})
        except OSError:
            return False
        return True

    def _is_ready(self) -> bool:
        try:
            self.admin.request("GET", "/readyz")
        except (OSError, Refused):
            return False
        return True

    def _ask_etcd(self, what: str, body: Object) -> Object:
        request = urllib.request.Request(f"{self._etcd_url}/v3/kv/{what}", json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return dict(json.load(answer))


def _stored(one: Object) -> Object:
    """An object with what an API server would have given it."""
    created = {"uid": str(uuid.uuid4()), "creationTimestamp": "2030-01-01T00:00:00Z"}
    return one | {"metadata": one["metadata"] | created}


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def path_of(one: Object, *, with_name: bool = True) -> str:
    """Where an object is, or the collection that it is created in."""
    version, metadata = one["apiVersion"], one["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    name = f"/{metadata['name']}" if with_name else ""
    return f"{root}{scope}/{plural(one['kind'])}{name}"


def plural(kind: str) -> str:
    """A kind as it stands in paths."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("y") and not word.endswith("ay"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x")) else f"{word}s"
