"""From what an authority and its front count to metrics, under istiod's names where it has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pilotpy.ops.clock import Clock
from pilotpy_ca.front import Front
from pilotpy_ca.keeper import Keeper
from pilotpy_ca.metrics import Counts, Sample, samples


class AuthorityMetrics(Collector):
    """Tells the metrics of an authority when they are asked for."""

    def __init__(self, keeper: Keeper, counts: Counts, front: Front, clock: Clock) -> None:
        self._keeper = keeper
        self._counts = counts
        self._front = front
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """All of them; samples of one name together."""
        families: dict[str, Metric] = {}
        for sample in (*samples(self._keeper, self._counts, self._clock.now()), *self._of_front()):
            # Of no type, or prometheus-client would add `_total` to istiod's names.
            family = families.setdefault(sample.name, Metric(sample.name, sample.help, "unknown"))
            family.add_sample(sample.name, dict(sample.labels), sample.value)
        return families.values()

    def _of_front(self) -> Iterator[Sample]:
        yield Sample("pilotpy_front_connections", self._front.connections, "Open connections over TLS.")
        yield Sample("pilotpy_front_refused", self._front.refused, "Connections refused before or in the handshake.")
