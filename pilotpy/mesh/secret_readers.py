"""Which workloads may have the Secrets of their namespace: what an API server says of their service accounts.

Who asks it writes the outcome into ``SECRET_READERS``. Where nobody is asked, as with folders, whoever wrote the Pod
may read what stands beside it.
"""

from __future__ import annotations

from pilotpy.engine import Asking, Kind, query

SECRET_READERS: Kind[bool] = Kind("SecretReaders")
"""Keys are identities: namespace, service account, cluster; all empty: of those who have not been reviewed."""


@query
def may_read_secrets(q: Asking, namespace: str, service_account: str, cluster: str) -> bool:
    """Whether the workloads of a service account of a cluster may have the Secrets of its namespace."""
    reviewed = q.get(SECRET_READERS, namespace, service_account, cluster)
    return q.get(SECRET_READERS, "", "", "") is not False if reviewed is None else reviewed
