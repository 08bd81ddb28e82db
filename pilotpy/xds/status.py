"""How far each connected proxy is, as plain data in istiod's shapes.

Source: `SyncStatus` and `AdsClient` in pilot/pkg/xds/debug.go; empty fields are left out, as there. `rejected` and
`waiting` are ours: what the proxy refuses at the moment, and whether it owes an answer.
"""

from __future__ import annotations

from typing import Any

from pilotpy.xds.connection import Connection
from pilotpy.xds.resource_type import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE

_FIELDS = (
    ("cluster", CLUSTER),
    ("listener", LISTENER),
    ("route", ROUTE),
    ("endpoint", ENDPOINT),
    ("extensionconfig", EXTENSION),
)


def sync_status(connection: Connection, home: str) -> dict[str, Any]:
    """One proxy's entry in `/debug/syncz`: nonces sent and ACKed by type. `home`: where those are that do not say."""
    watches = connection.session.watches
    status: dict[str, Any] = {
        "cluster_id": _text(connection, "CLUSTER_ID") or home,
        "proxy": connection.proxy,
        "proxy_type": connection.node.id.partition("~")[0],
        "istio_version": _text(connection, "ISTIO_VERSION"),
    }
    for field, type_ in _FIELDS:
        watch = watches.get(type_.url)
        if watch is not None:
            status |= {f"{field}_sent": watch.nonce_sent, f"{field}_acked": watch.nonce_acked}
    status["resources"] = {
        url: _filled(
            sent=watch.nonce_sent,
            acked=watch.nonce_acked,
            sentTime=connection.sent_at[url].isoformat() if url in connection.sent_at else "",
            lastError=watch.error,
            rejected=sorted(watch.refused),
        )
        for url, watch in sorted(watches.items())
    }
    return _filled(**status)


def client(connection: Connection) -> dict[str, Any]:
    """One proxy's entry in `/debug/connections`."""
    return {"connectionId": connection.id, "connectedAt": connection.since.isoformat(), "address": connection.peer}


def client_with_watches(connection: Connection) -> dict[str, Any]:
    """One proxy's entry in `/debug/adsz`; a type of which it wants all has no names."""
    locality = connection.node.locality
    return client(connection) | _filled(
        labels=connection.node.metadata.get("LABELS"),
        metadata=connection.node.metadata,
        locality=_filled(region=locality.region, zone=locality.zone, subZone=locality.subzone),
        watches={url: sorted(watch.names) for url, watch in connection.session.watches.items()},
    )


def _text(connection: Connection, key: str) -> str:
    value = connection.node.metadata.get(key)
    return value if isinstance(value, str) else ""


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
