"""Keys and certificates in Secrets, authorities in ConfigMaps: what a resource name stands for, and who may have it.

From the name that a proxy asks for and the identity that it proved to the bytes to serve. A proxy gets the Secrets of
its own namespace, and public certificates of anywhere. Follows istiod's ``pilot/pkg/model/credentials/resource.go`` and
``pilot/pkg/credentials/kube/secrets.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pilotpy.engine import Asking
from pilotpy.mesh.kinds import CONFIG_MAPS, SECRETS

_SECRET = "kubernetes://"  # noqa: S105 - the scheme of a name
_CONFIG_MAP = "configmap://"
_CA = "-cacert"
_PAIRS = (("cert", "key", ""), ("tls.crt", "tls.key", "tls.ocsp-staple"))
_AUTHORITIES = (("cacert", "crl"), ("ca.crt", "ca.crl"))


class KeyPair(NamedTuple):
    """A certificate chain with its private key, PEM. Does not show itself."""

    chain: bytes
    key: bytes
    staple: bytes = b""  # an OCSP response, DER

    def __repr__(self) -> str:
        return "<KeyPair, redacted>"


class Authorities(NamedTuple):
    """Certificates to verify a peer's with, PEM."""

    certificates: bytes
    crl: bytes = b""


class Absent(NamedTuple):
    """Why there is nothing to serve."""

    reason: str


def credential(q: Asking, name: str, namespace: str, *, trusted: bool) -> KeyPair | Authorities | Absent:
    """What a resource name stands for, for a proxy that has proved to be of a namespace.

    ``trusted``: its service account may read Secrets there. Public certificates are for all.
    """
    if name.startswith(_CONFIG_MAP):
        return _of_config_map(q, name.removeprefix(_CONFIG_MAP))
    if not name.startswith(_SECRET):
        return Absent("names of secrets begin with kubernetes:// or configmap://")
    parts = name.removeprefix(_SECRET).split("/")
    where, called = (namespace, parts[0]) if len(parts) == 1 else (parts[0], parts[-1])
    if len(parts) > 2 or not where or not called:
        return Absent("names of Secrets are kubernetes://<name> or kubernetes://<namespace>/<name>")
    if where != namespace:
        return Absent(f"Secrets of namespace {where} are not for proxies of namespace {namespace}")
    if called.endswith(_CA):
        return _authorities(q, where, called)
    return _key_pair(q, where, called) if trusted else Absent("its service account may not list Secrets there")


def _of_config_map(q: Asking, path: str) -> Authorities | Absent:
    namespace, _, name = path.partition("/")
    found = q.get(CONFIG_MAPS, namespace, name.removesuffix(_CA))
    if found is None:
        return Absent("there is no such ConfigMap")
    certificates = found.spec.data.get("ca.crt", "").encode() or found.spec.binary_data.get("ca.crt", b"")
    return Authorities(certificates) if certificates else Absent("the ConfigMap has no ca.crt")


def _key_pair(q: Asking, namespace: str, name: str) -> KeyPair | Absent:
    data = _data(q, namespace, name)
    if data is None:
        return Absent("there is no such Secret")
    for chain, key, staple in _PAIRS:
        if data.get(chain) and data.get(key):
            return KeyPair(data[chain], data[key], data.get(staple, b""))
    return Absent("the Secret needs cert and key, or tls.crt and tls.key")


def _authorities(q: Asking, namespace: str, name: str) -> Authorities | Absent:
    """The authorities in a Secret of their own, else those beside the key pair."""
    found = [_data(q, namespace, called) for called in (name, name.removesuffix(_CA))]
    for data in found:
        for certificates, crl in _AUTHORITIES:
            if data and data.get(certificates):
                return Authorities(data[certificates], data.get(crl, b""))
    return Absent("the Secret has neither cacert nor ca.crt" if any(found) else "there is no such Secret")


def _data(q: Asking, namespace: str, name: str) -> Mapping[str, bytes] | None:
    secret = q.get(SECRETS, namespace, name)
    if secret is None:
        return None
    return {**secret.spec.data, **{key: text.encode() for key, text in secret.spec.string_data.items()}}
