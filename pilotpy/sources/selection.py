"""Which Pods each Service selects, and which Services select a Pod, without going through either.

A Service is filed under one label of its selector and a Pod under each of its labels, so that an
edit looks only at those that may match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pilotpy.model.resource import Ref

_Label = tuple[str, str, str]  # namespace, key, value


class Selection:
    """The labels of all Pods, the selectors of all Services."""

    def __init__(self) -> None:
        self._selectors: dict[Ref, Mapping[str, str]] = {}
        self._labels: dict[Ref, Mapping[str, str]] = {}
        self._services: defaultdict[_Label, set[Ref]] = defaultdict(set)
        self._pods: defaultdict[_Label, set[Ref]] = defaultdict(set)

    def put_service(self, service: Ref, selector: Mapping[str, str]) -> None:
        """Say what a Service selects; nothing: it is gone, or has no selector."""
        _file(self._services, service, _first(service, self._selectors.pop(service, {})), into=False)
        if selector:
            self._selectors[service] = selector
            _file(self._services, service, _first(service, selector), into=True)

    def put_pod(self, pod: Ref, labels: Mapping[str, str] | None) -> None:
        """Say what a Pod's labels are; None: it is gone."""
        _file(self._pods, pod, _all(pod, self._labels.pop(pod, {})), into=False)
        if labels is not None:
            self._labels[pod] = labels
            _file(self._pods, pod, _all(pod, labels), into=True)

    def services(self, pod: Ref) -> list[Ref]:
        """The Services that select a Pod now, in no order."""
        labels = self._labels.get(pod, {})
        near = (service for label in _all(pod, labels) for service in self._services.get(label, ()))
        return [service for service in near if self._selectors[service].items() <= labels.items()]

    def pods(self, service: Ref) -> list[Ref]:
        """The Pods that a Service selects now, sorted."""
        selector = self._selectors.get(service, {})
        near = min((self._pods.get(label, set()) for label in _all(service, selector)), key=len, default=set[Ref]())
        return sorted(pod for pod in near if selector.items() <= self._labels[pod].items())


def _all(ref: Ref, labels: Mapping[str, str]) -> Iterable[_Label]:
    return [(ref.namespace, key, value) for key, value in labels.items()]


def _first(ref: Ref, labels: Mapping[str, str]) -> Iterable[_Label]:
    return sorted(_all(ref, labels))[:1]


def _file(drawers: defaultdict[_Label, set[Ref]], ref: Ref, labels: Iterable[_Label], *, into: bool) -> None:
    for label in labels:
        if into:
            drawers[label].add(ref)
        else:
            drawers[label].discard(ref)
            if not drawers[label]:
                del drawers[label]
