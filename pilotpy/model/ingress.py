"""Ingress and IngressClass: HTTP from outside to Services, in Kubernetes' own words.

Source: kubernetes staging/src/k8s.io/api/networking/v1/types.go.
"""

from __future__ import annotations

from typing import Literal

from pilotpy.model.message import Choice, Int32, Message


class ServiceBackendPort(Choice, frozen=True):
    """A port of a Service, by name or number."""

    exclusive = (("name", "number"),)

    name: str | None = None
    number: Int32 | None = None


class IngressServiceBackend(Message, frozen=True):
    """A Service of the same namespace."""

    name: str
    port: ServiceBackendPort | None = None  # required


class TypedLocalObjectReference(Message, frozen=True):
    """An object of the same namespace that is no Service."""

    kind: str
    name: str
    api_group: str = ""


class IngressBackend(Choice, frozen=True):
    """Where requests go."""

    exclusive = (("service", "resource"),)

    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(Message, frozen=True):
    """Requests for a path, and where they go."""

    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"]
    backend: IngressBackend
    path: str = ""


class HTTPIngressRule(Message, frozen=True):
    """Paths of a host."""

    paths: tuple[HTTPIngressPath, ...]


class IngressRule(Message, frozen=True):
    """What a host serves."""

    host: str = ""  # "": all; may begin with "*."
    http: HTTPIngressRule | None = None  # None: all goes to the default backend


class IngressTLS(Message, frozen=True):
    """Hosts that are served over TLS, with a certificate from a Secret."""

    hosts: tuple[str, ...] = ()  # (): all
    secret_name: str = ""


class Ingress(Message, frozen=True):
    """Rules for hosts and paths."""

    ingress_class_name: str | None = None  # None: of the class that is the cluster's default
    default_backend: IngressBackend | None = None  # for what no rule matches
    tls: tuple[IngressTLS, ...] = ()
    rules: tuple[IngressRule, ...] = ()


class IngressClassParameters(Message, frozen=True):
    """Settings of a class, in a form that its controller knows."""

    kind: str
    name: str
    api_group: str = ""
    scope: Literal["Cluster", "Namespace"] = "Cluster"
    namespace: str = ""


class IngressClass(Message, frozen=True):
    """Who implements Ingresses of a class. An object of the cluster, without a namespace."""

    controller: str = ""
    parameters: IngressClassParameters | None = None
