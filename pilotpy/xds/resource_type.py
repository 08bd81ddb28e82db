"""The types of resources that a stream may ask for: their URLs, their order, what stands for a missing one.

Source: Envoy's xDS protocol page ("Eventual consistency considerations") for the order; Istio's table of generators
for what is a wildcard. Istio's own types keep the names that its agent asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pilotpy.compile.collection import CLUSTERS, ENDPOINTS, GOOGLE, LISTENERS, NAMES, PROXY_CONFIGS, ROUTES, SECRETS
from pilotpy.compile.encoded import Encoded
from pilotpy.compile.wire import delimited


class ResourceType(NamedTuple):
    """One type of resource."""

    url: str
    short: str  # as istiod's metrics and istioctl call it: "cds"
    wildcard: bool = True  # an empty list of names asks for all; else for none
    missing: Callable[[str], Encoded] | None = None  # what a client gets for a name that nothing has
    stage: int = 1  # not pushed before the client has taken what was pushed of lower stages
    leaves_last: bool = False  # removed only once nothing sent after it can point to it any more
    quiet: bool = False  # what is not there is not mentioned, neither when it is asked for nor when it goes


def _empty_assignment(name: str) -> Encoded:
    # Left out, its cluster would go on warming for ever. ClusterLoadAssignment.cluster_name is field 1.
    return Encoded(name, delimited(1, name.encode()))


def _empty_route(name: str) -> Encoded:
    # RouteConfiguration.name is field 1; field 7, validate_clusters, is a BoolValue that says false.
    return Encoded(name, delimited(1, name.encode()) + b"\x3a\x00")


# Envoy does not ACK clusters before they are warm (ClusterManagerImpl pauses CDS), which takes their endpoints and
# secrets: these go together, and the ACK says that routes may point to them.
CLUSTER = ResourceType(CLUSTERS, "cds", stage=0, leaves_last=True)
ENDPOINT = ResourceType(ENDPOINTS, "eds", stage=0, wildcard=False, missing=_empty_assignment)
SECRET = ResourceType(SECRETS, "sds", stage=0, wildcard=False, quiet=True)
LISTENER = ResourceType(LISTENERS, "lds")
ROUTE = ResourceType(ROUTES, "rds", wildcard=False, missing=_empty_route)
EXTENSION = ResourceType(GOOGLE + "envoy.config.core.v3.TypedExtensionConfig", "ecds", wildcard=False)
NAME_TABLE = ResourceType(NAMES, "nds")
PROXY_CONFIG = ResourceType(PROXY_CONFIGS, "pcds")

# Make before break: what is pointed to comes before what points to it.
IN_ORDER = (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE, EXTENSION, NAME_TABLE, PROXY_CONFIG)
BY_URL = {type_.url: type_ for type_ in IN_ORDER}

HEALTH_URL = GOOGLE + "istio.v1.HealthInformation"  # told, never asked for
DEBUG_URL = "istio.io/debug"  # and all that begins so
