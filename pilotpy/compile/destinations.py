"""From where a VirtualService sends requests to the cluster that takes them.

Source: istiod's ``GetDestinationCluster`` and ``hashForHTTPDestination`` in ``pilot/pkg/networking/core/route``.
"""

from __future__ import annotations

from typing import NamedTuple

from pilotpy.compile.naming import UNKNOWN, cluster_name
from pilotpy.engine import Asking, query
from pilotpy.mesh.own import selected_for_all
from pilotpy.mesh.service import Resolution
from pilotpy.mesh.services import holder, service
from pilotpy.mesh.traffic_policy import traffic_rule
from pilotpy.mesh.view import Selected
from pilotpy.model.destination_rule import ConsistentHashLB
from pilotpy.model.virtual_service import Destination


class Target(NamedTuple):
    """What a destination comes to."""

    cluster: str  # never empty; may not exist, as istiod leaves it too
    consistent_hash: ConsistentHashLB | None = None
    flaw: str = ""  # what is wrong with it, for its author
    field: str = "host"  # where that is written
    hint: str = "name the host of a Service or ServiceEntry that this namespace sees"
    code: str = "IST0101"  # of the finding


@query
def target(q: Asking, to: Destination, listener_port: int, chosen: Selected | None) -> Target:
    """The cluster of a destination; ``chosen`` is the service that the client sees by that host, None: the base's."""
    selected = chosen or ((key := q(holder, to.host)) and q(selected_for_all, key))
    found = q(service, selected.service) if selected is not None else None
    if selected is None or found is None:
        cluster = cluster_name(to.port.number if to.port else listener_port, to.subset, to.host) if to.host else UNKNOWN
        return Target(cluster, flaw=f"No service has the host {to.host!r}")
    numbers = {port.number for port in found.ports}
    alone = next(iter(numbers)) if len(numbers) == 1 else listener_port
    port = to.port.number if to.port else alone
    # A route to an ExternalName service goes where the name points.
    is_alias = found.resolution is Resolution.ALIAS
    rule = q(traffic_rule, selected.rules)
    balancing = rule.policy(to.port.number if to.port else 0, to.subset).load_balancer
    cluster = cluster_name(port, to.subset, found.alias_of if is_alias else to.host)
    reached = Target(cluster, balancing.consistent_hash if balancing else None)
    if to.subset and rule.subset(to.subset) is None:
        flaw = f"No DestinationRule in force for {to.host} has the subset {to.subset!r}"
        return reached._replace(flaw=flaw, field="subset", hint="Add it to a DestinationRule for that host")
    if port not in numbers and not is_alias:
        code = "IST0101" if to.port else "IST0112"
        flaw = f"{to.host} has no port {port}, only {_listed(numbers)}"
        return reached._replace(flaw=flaw, field="port", hint="Name the port of the destination", code=code)
    return reached


def _listed(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
