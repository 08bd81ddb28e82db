"""Which query answers for each type of resource, and which facets of a proxy's view it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotpy.compile.clusters import clusters
from pilotpy.compile.collection import (
    CLUSTERS,
    ENDPOINTS,
    LISTENERS,
    NAMES,
    PROXY_CONFIGS,
    ROUTES,
    SECRETS,
    Collection,
)
from pilotpy.compile.endpoints import assignments
from pilotpy.compile.listeners import listeners
from pilotpy.compile.names import name_table
from pilotpy.compile.routes import routes
from pilotpy.compile.secrets import secrets
from pilotpy.compile.trust_bundle import trust_bundle

# By type URL.
COLLECTIONS: Final[Mapping[str, Collection]] = {
    CLUSTERS: Collection(clusters, lambda v: (v.scope, v.inbound.unguarded, v.place, v.features)),
    ENDPOINTS: Collection(assignments, lambda v: (v.scope, v.place)),
    LISTENERS: Collection(listeners, lambda v: (v.scope, v.inbound, v.features, v.listening)),
    ROUTES: Collection(routes, lambda v: (v.scope, v.listening)),
    NAMES: Collection(name_table, lambda v: (v.scope, v.place)),
    PROXY_CONFIGS: Collection(trust_bundle, lambda _: ()),
}

# Those that hold what a proxy asks for and nothing else: their queries take, after the facets, the names, sorted.
BY_NAME: Final[Mapping[str, Collection]] = {
    SECRETS: Collection(secrets, lambda v: (v.identity,)),
}
