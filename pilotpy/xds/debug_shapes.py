"""From services and endpoints of the mesh to the shapes in which istiod's debug pages show them.

Go writes the names of fields as they are unless told otherwise: hence the capitals. What this mesh does not know of a
service is left out. Source: Service, Port, ServiceAttributes and IstioEndpoint in pilot/pkg/model/service.go of
istio/istio, NetworkGateway in network.go.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from pilotpy.mesh.network_gateways import NetworkGateway
from pilotpy.mesh.service import Endpoint, Health, Port, Resolution, Service

_RESOLUTIONS: Final = {
    Resolution.CLIENT_SIDE: 0,
    Resolution.DNS: 1,
    Resolution.PASSTHROUGH: 2,
    Resolution.DNS_ROUND_ROBIN: 3,
    Resolution.ALIAS: 4,
    Resolution.DYNAMIC_DNS: 5,
}
_HEALTH: Final = {Health.HEALTHY: 1, Health.UNHEALTHY: 2, Health.DRAINING: 3}
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what istiod shows where there is none


FollowedCluster = tuple[str, str, str]
"""A cluster's name, NAMESPACE/NAME of the Secret that logs in to it ("": its own), and how far it is heard."""


def cluster_shape(cluster: FollowedCluster) -> dict[str, str]:
    """A cluster as ``/debug/clusterz`` lists it."""
    return dict(zip(("id", "secretName", "syncStatus"), cluster, strict=True))


def service_shape(service: Service, cluster: str) -> dict[str, Any]:
    """A service as ``/debug/registryz`` lists it."""
    kind, _, name = service.source
    return {
        "Attributes": {
            "ServiceRegistry": service.registry.value,
            "Name": service.name,
            "Namespace": service.key.namespace,
            "Labels": dict(service.labels) or None,
            "ExportTo": {reach: {} for reach in sorted(service.export_to)} or None,
            "LabelSelectors": dict(service.selector) or None,
            "ExternalName": service.alias_of,
            "NodeLocal": service.internal_traffic_local,
            "ObjectName": name if kind else service.name,
            "PublishNotReadyAddresses": service.publish_not_ready,
        },
        "ports": [port_shape(port) for port in service.ports],
        **({"serviceAccounts": list(service.service_accounts)} if service.service_accounts else {}),
        "creationTime": f"{datetime.fromtimestamp(service.age[0], UTC):%Y-%m-%dT%H:%M:%SZ}",
        "hostname": service.key.host,
        "clusterVIPs": {"Addresses": {cluster: list(service.addresses)} if service.addresses else None},
        "defaultAddress": service.addresses[0] if service.addresses else _NO_ADDRESS,
        "Resolution": _RESOLUTIONS[service.resolution],
        "MeshExternal": service.mesh_external,
    }


def gateway_shape(gateway: NetworkGateway) -> dict[str, Any]:
    """A gateway to a network as ``/debug/networkz`` lists it; whom it runs as is not known."""
    return {
        "Network": gateway.network,
        "Cluster": gateway.cluster,
        "Addr": gateway.address,
        "Port": gateway.port,
        "HBONEPort": 0,
        "ServiceAccount": {"Namespace": "", "Name": ""},
    }


def port_shape(port: Port) -> dict[str, Any]:
    """A port of a service."""
    return {"name": port.name, "port": port.number, "protocol": port.protocol.value}


def endpoint_shape(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as ``/debug/endpointz`` lists it."""
    return {
        "Labels": dict(endpoint.labels) or None,
        "Addresses": [endpoint.address],
        "ServicePortName": endpoint.port_name,
        "ServiceAccount": endpoint.service_account,
        "Network": endpoint.network,
        "Locality": {"Label": "/".join(endpoint.locality).rstrip("/"), "ClusterID": endpoint.cluster},
        "EndpointPort": endpoint.port,
        "LbWeight": endpoint.weight,
        "TLSMode": endpoint.tls_mode,
        "Namespace": endpoint.namespace,
        "WorkloadName": endpoint.workload,
        "HostName": endpoint.hostname,
        "SubDomain": endpoint.subdomain,
        "HealthStatus": _HEALTH[endpoint.health],
        "NodeName": endpoint.node,
    }
