"""What a lab and its control plane, a process of its own, tell each other: a line of JSON at a time."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pilotpy.model.kubernetes import KubeService
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Finding, Ref, Resource
from pilotpy.sources.rollout import PodState

LONGEST = 64 << 20
"""Bytes of a line."""


class PlaneOrder(msgspec.Struct, frozen=True):
    """How a control plane is started."""

    folders: tuple[str, ...]  # of manifests
    host: str  # that it serves on
    keys: str  # folder of its authority
    projected: str  # folder of roots, revoked certificates and tokens
    channel: int  # descriptor of the socket that the lines go over


class MeshFacts(msgspec.Struct, frozen=True):
    """What Pods are told of their mesh."""

    trust_domain: str = "cluster.local"
    proxy_metadata: Mapping[str, str] = {}  # of MeshConfig's defaultConfig


class News(msgspec.Struct, frozen=True):
    """From the control plane: what its folders want now."""

    wanted: tuple[Resource[Pod], ...] = ()  # sorted, with addresses
    services: tuple[Resource[KubeService], ...] = ()  # with addresses
    findings: tuple[Finding, ...] = ()
    mesh: MeshFacts = MeshFacts()


class Report(msgspec.Struct, frozen=True):
    """To the control plane: what a Pod does. The first line has all Pods that run already."""

    pod: Ref
    state: PodState
