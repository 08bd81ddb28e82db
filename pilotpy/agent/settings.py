"""How one pod's agent runs: what pilot-agent reads from its environment, under the same names.

Source  istio/istio ``pilot/cmd/pilot-agent/options``, ``pkg/istio-agent/agent.go``, ``pkg/security/security.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from pilotpy.agent.app_probes import Probe, complaint, probes
from pilotpy.agent.dns_proxy import Resolver
from pilotpy.agent.drain import Farewell
from pilotpy.agent.health_check import HealthCheck
from pilotpy.agent.http_client import Question
from pilotpy.agent.identity import Terms
from pilotpy.agent.key import KeyType
from pilotpy.agent.metrics import application
from pilotpy.agent.upstream import Upstream
from pilotpy.ops.settings import Wrong, span

_SYSTEM: Final = "SYSTEM"
_ROOTS: Final = Path("var/run/secrets/istio/root-cert.pem")
_TOKEN: Final = Path("var/run/secrets/tokens/istio-token")
_REVOKED: Final = Path("var/run/secrets/istio/crl/ca-crl.pem")
_XDS: Final = Path("etc/istio/proxy/XDS")
_SDS: Final = Path("var/run/secrets/workload-spiffe-uds")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent needs to know of its pod and its mesh. Ports are inside the pod; 0 takes a free one."""

    terms: Terms
    plane: Upstream
    authority: Upstream
    signer: str = ""  # in whose name the authority is to sign, where it has others do so
    xds_socket: Path  # where Envoy's discovery finds the agent
    sds_socket: Path  # where its secrets are
    socket_user: int | None = None  # who may open them; None: who the agent runs as
    revoked: Path | None = None  # file of lists of revoked certificates; need not exist
    output: Path | None = None  # folder that certificate and key are written to
    resolver: Resolver | None = None  # None: names are not answered for
    address: str = "127.0.0.1"  # of the pod
    admin_port: int = 15000
    status_port: int | None = 15020  # None: nothing is answered over HTTP
    farewell: Farewell = Farewell()
    probes: Mapping[str, Probe] = {}
    application: Question | None = None  # where its metrics are
    health: HealthCheck | None = None  # of an application whose endpoint the control plane must be told about

    @property
    def localhost(self) -> str:
        """The address that only the pod itself reaches."""
        return _localhost(self.address)

    @classmethod
    def of(cls, environment: Mapping[str, str], root: Path = Path("/")) -> AgentSettings:
        """As the environment says; paths that are not absolute are under ``root``. Raises Wrong with a sentence."""
        read = environment.get
        proxy = ProxyConfig.of(environment)
        discovery = read("PILOTPY_DISCOVERY_ADDRESS") or proxy.discovery_address
        namespace = read("POD_NAMESPACE", "default")
        address = (read("INSTANCE_IP") or "127.0.0.1").partition(",")[0]
        trust_domain = (read("TRUST_DOMAIN") or "cluster.local").replace("@", ".")
        try:
            return cls(
                terms=Terms(
                    identity=f"spiffe://{trust_domain}/ns/{namespace}/sa/{read('SERVICE_ACCOUNT') or 'default'}",
                    key_type=_key_type(environment),
                    life=span(read("SECRET_TTL") or "24h", "SECRET_TTL"),
                    grace_ratio=_share(environment, "SECRET_GRACE_PERIOD_RATIO", 0.5),
                    grace_jitter=_share(environment, "SECRET_GRACE_PERIOD_RATIO_JITTER", 0.01),
                ),
                plane=_upstream(environment, root, discovery, "XDS"),
                authority=_upstream(environment, root, read("CA_ADDR") or discovery, "CA"),
                signer=read("ISTIO_META_CERT_SIGNER", ""),
                xds_socket=root / _XDS,
                sds_socket=root / _SDS / _file_name(read("WORKLOAD_IDENTITY_SOCKET_FILE") or "socket"),
                revoked=root / _REVOKED,
                output=root / output if (output := read("OUTPUT_CERTS")) else None,
                resolver=_resolver(environment, root, namespace),
                address=address,
                admin_port=proxy.proxy_admin_port,
                status_port=proxy.status_port,
                farewell=Farewell(
                    duration=span(proxy.termination_drain_duration, "terminationDrainDuration"),
                    until_idle=_truth(read("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "")),
                    at_least=span(read("MINIMUM_DRAIN_DURATION") or "5s", "MINIMUM_DRAIN_DURATION"),
                ),
                probes=probes(read("ISTIO_KUBE_APP_PROBERS", "")),
                health=proxy.readiness_probe,
                application=application(read("ISTIO_PROMETHEUS_ANNOTATIONS", ""), _localhost(address)),
            )
        except Wrong:
            raise
        except ValueError as wrong:
            raise Wrong(str(wrong)) from wrong


class ProxyConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Of a mesh's ``defaultConfig``, what an agent reads; the defaults are Istio's."""

    discovery_address: str = "istiod.istio-system.svc:15012"
    proxy_admin_port: int = 15000
    status_port: int = 15020
    termination_drain_duration: str = "5s"
    drain_duration: str = "45s"
    readiness_probe: HealthCheck | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ProxyConfig:
        """As ``PROXY_CONFIG`` has it, in YAML or JSON. Raises Wrong with a sentence."""
        text = environment.get("PROXY_CONFIG", "").strip()
        try:
            read = msgspec.yaml.decode(text, type=cls) if text else cls()
        except msgspec.MsgspecError as wrong:
            raise Wrong(f"PROXY_CONFIG: {wrong}") from wrong
        if read.readiness_probe is not None and (reason := complaint(read.readiness_probe)):
            raise Wrong(f"PROXY_CONFIG: readinessProbe: {reason}")
        return read

    @property
    def drain(self) -> timedelta:
        """How long Envoy drains listeners that change. Raises Wrong."""
        return span(self.drain_duration, "drainDuration")


def _upstream(environment: Mapping[str, str], root: Path, address: str, what: str) -> Upstream:
    roots = environment.get(f"{what}_ROOT_CA", "")
    provided = environment.get("PROV_CERT", "")
    prefix = f"{what}_HEADER_"
    known = root / provided / "root-cert.pem" if provided else root / _ROOTS
    return Upstream(
        address=address,
        roots=None if roots == _SYSTEM else root / roots if roots else known,
        server_name=environment.get("ISTIOD_SAN", ""),
        token=None if provided else root / _TOKEN,
        certificates=root / provided if provided else None,
        cluster=environment.get("ISTIO_META_CLUSTER_ID") or "Kubernetes",
        headers=tuple(
            (variable.removeprefix(prefix).lower(), value)
            for variable, value in sorted(environment.items())
            if variable.startswith(prefix)
        ),
        plaintext=address.endswith(":15010"),
    )


def _key_type(environment: Mapping[str, str]) -> KeyType:
    if environment.get("ECC_SIGNATURE_ALGORITHM"):
        variable, name = "ECC_CURVE", environment.get("ECC_CURVE") or "P256"
    else:
        variable, name = "WORKLOAD_RSA_KEY_SIZE", f"RSA-{environment.get('WORKLOAD_RSA_KEY_SIZE') or 2048}"
    try:
        return KeyType(name)
    except ValueError:
        types = ", ".join(known.value for known in KeyType)
        raise Wrong(f"{variable}: no key of type {name}, there are {types}") from None


def _resolver(environment: Mapping[str, str], root: Path, namespace: str) -> Resolver | None:
    if not _truth(environment.get("ISTIO_META_DNS_CAPTURE", "")):
        return None
    file = root / "etc/resolv.conf"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    servers = tuple(words[1].partition("%")[0] for words in lines if words[:1] == ["nameserver"] and len(words) > 1)
    search = [words[1] for words in lines if words[:1] == ["search"] and len(words) > 1]
    host, _, port = environment.get("DNS_PROXY_ADDR", "localhost:15053").rpartition(":")
    return Resolver(
        namespace=namespace,
        search=search[-1] if search else "",
        servers=servers,
        host="127.0.0.1" if host in {"", "localhost"} else host.strip("[]"),
        port=int(port),
    )


def _localhost(address: str) -> str:
    return "::1" if ":" in address else "127.0.0.1"


def _share(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise Wrong(f"{name}: {text!r} is not a number from 0 to 1")
    return share


def _file_name(text: str) -> str:
    if "/" in text or text in {".", ".."}:
        raise Wrong(f"WORKLOAD_IDENTITY_SOCKET_FILE: {text!r} is not a bare file name")
    return text


def _truth(text: str) -> bool:
    return text.lower() in {"true", "t", "1"}
