"""Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob: what makes Pods.

Source: kubernetes/api apps/v1/types.go and batch/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pilotpy.model.message import Int32, Part
from pilotpy.model.pod import PodSpec


class TemplateMeta(Part, frozen=True):
    """The metadata of the Pods; their names are made."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class PodTemplate(Part, frozen=True):
    """The Pods that a workload makes."""

    spec: PodSpec
    metadata: TemplateMeta = TemplateMeta()


class Selector(Part, frozen=True):
    """Labels by which a workload knows its Pods."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[Mapping[str, Any], ...] = ()


class Deployment(Part, frozen=True):
    """Deployment: interchangeable Pods, replaced little by little."""

    selector: Selector
    template: PodTemplate
    replicas: Int32 | None = None  # None: 1
    strategy: DeploymentStrategy | None = None
    min_ready_seconds: Int32 = 0
    paused: bool = False


class DeploymentStrategy(Part, frozen=True):
    """How Pods are replaced."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class RollingUpdate(Part, frozen=True):
    """How many Pods may be missing or too many: numbers, or percents as text."""

    max_unavailable: int | str | None = None  # None: "25%"
    max_surge: int | str | None = None


class ReplicaSet(Part, frozen=True):
    """ReplicaSet: interchangeable Pods."""

    selector: Selector
    template: PodTemplate
    replicas: Int32 | None = None


class StatefulSet(Part, frozen=True):
    """StatefulSet: numbered Pods, each with a name of its own."""

    selector: Selector
    template: PodTemplate
    service_name: str = ""  # the headless Service that names the Pods
    replicas: Int32 | None = None
    ordinals: Ordinals | None = None
    pod_management_policy: Literal["OrderedReady", "Parallel"] = "OrderedReady"
    update_strategy: UpdateStrategy | None = None
    min_ready_seconds: Int32 = 0


class Ordinals(Part, frozen=True):
    """Where the numbering starts."""

    start: Int32 = 0


class UpdateStrategy(Part, frozen=True):
    """How the Pods of a StatefulSet or DaemonSet are replaced."""

    type: str = "RollingUpdate"  # or "OnDelete": never, until somebody deletes them
    rolling_update: UpdateLimits | None = None


class UpdateLimits(Part, frozen=True):
    """Which Pods are replaced, and how many at a time."""

    partition: Int32 = 0  # Pods of lower numbers stay as they are
    max_unavailable: int | str | None = None  # None: 1
    max_surge: int | str | None = None  # of a DaemonSet


class DaemonSet(Part, frozen=True):
    """DaemonSet: one Pod on every node."""

    selector: Selector
    template: PodTemplate
    update_strategy: UpdateStrategy | None = None
    min_ready_seconds: Int32 = 0


class Job(Part, frozen=True):
    """Job: Pods that run to completion."""

    template: PodTemplate
    parallelism: Int32 | None = None  # None: 1
    completions: Int32 | None = None
    suspend: bool | None = None


class CronJob(Part, frozen=True):
    """CronJob: Jobs by the clock. It makes no Pods of itself."""

    schedule: str
    job_template: JobTemplate
    suspend: bool | None = None


class JobTemplate(Part, frozen=True):
    """The Jobs that a CronJob makes."""

    spec: Job
