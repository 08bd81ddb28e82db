"""Where a proxy asks for keys and certificates: names of secrets with the source of each.

Its own identity and files come from the agent beside it, over the static cluster ``sds-grpc``; what a credentialName
names comes from the control plane. Source: istiod's ``pilot/pkg/security/model/authentication.go``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotpy_protos.envoy.config.core.v3.config_source_pb2 import (
    AggregatedConfigSource,
    ApiConfigSource,
    ApiVersion,
    ConfigSource,
)
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig

AGENT: Final = "sds-grpc"  # the cluster of the agent's socket, as Istio's bootstrap has it
OWN_CERTIFICATE: Final = "default"  # the proxy's own key and chain
OWN_ROOTS: Final = "ROOTCA"  # the roots of its mesh
SYSTEM_ROOTS: Final = "system"  # the certificates that the proxy's system trusts

_SCHEMES: Final = ("kubernetes://", "kubernetes-gateway://", "configmap://", "sds://", "builtin://")
_CA: Final = "-cacert"


def of_agent(name: str) -> SdsSecretConfig:
    """A secret of the agent's; whatever needs it waits without limit."""
    source = ConfigSource(resource_api_version=ApiVersion.V3, initial_fetch_timeout=timedelta(0))
    source.api_config_source.api_type = ApiConfigSource.ApiType.GRPC
    source.api_config_source.transport_api_version = ApiVersion.V3
    source.api_config_source.set_node_on_first_message_only = True
    source.api_config_source.grpc_services.add().envoy_grpc.cluster_name = AGENT
    return SdsSecretConfig(name=name, sds_config=source)


def of_credential(name: str) -> SdsSecretConfig:
    """The key and certificate in a Secret. One that is not there is waited for 15 s, then what needs it goes on."""
    source = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
    return SdsSecretConfig(name=name if name.startswith(_SCHEMES) else f"kubernetes://{name}", sds_config=source)


def roots_of_credential(name: str) -> SdsSecretConfig:
    """The certificate authorities in a Secret or ConfigMap."""
    return of_credential(name + _CA)


def file_pair(certificate: str, key: str) -> SdsSecretConfig:
    """A certificate and its key in the proxy's own files."""
    return of_agent(f"file-cert:{certificate}~{key}")


def file_roots(path: str) -> SdsSecretConfig:
    """Certificate authorities in a file of the proxy's."""
    return of_agent(f"file-root:{path or SYSTEM_ROOTS}")
