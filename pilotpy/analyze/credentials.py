"""What is doubtful about the certificates of Gateways: Secrets that are missing, or that hold nothing to serve.

Source: istio/istio pilot/pkg/credentials/kube/secrets.go (which keys a Secret may have).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from pilotpy.analyze.kinds import NOW
from pilotpy.analyze.missing import missing
from pilotpy.analyze.pods import pairs, pods_anywhere
from pilotpy.engine import Asking, query
from pilotpy.mesh.kinds import GATEWAYS, SECRETS
from pilotpy.model.kubernetes import Secret
from pilotpy.model.resource import Finding, Ref, Resource, Severity

_KEYS = (("cert", "key"), ("tls.crt", "tls.key"))


@query
def credential_doubts(q: Asking, ref: Ref) -> tuple[Finding, ...]:
    """Return a finding for each server whose Secret is not where the Gateway's Pods are, or cannot be used."""
    gateway = q.get(GATEWAYS, ref.namespace, ref.name)
    pods = q(pods_anywhere, pairs(gateway.spec.selector)) if gateway else ()
    if gateway is None or not pods:
        return ()
    namespace = pods[0].namespace
    found = []
    for index, server in enumerate(gateway.spec.servers):
        name = server.tls.credential_name if server.tls else ""
        if not name:
            continue
        field = f"spec.servers[{index}].tls.credentialName"
        secret = q.get(SECRETS, namespace, name)
        if secret is None:
            hint = f"Make the Secret in {namespace}, where the gateway's Pods are"
            found.append(missing(ref, field, "credentialName", name, hint))
        elif flaw := q(certificate_flaw, namespace, name):
            found.append(_unusable(ref, field, secret, flaw))
    return tuple(found)


@query
def certificate_flaw(q: Asking, namespace: str, name: str) -> str:
    """Return why the certificate in a Secret cannot be served now; empty if it can, or there is no such Secret."""
    secret = q.get(SECRETS, namespace, name)
    if secret is None:
        return ""
    chain = _chain(secret.spec)
    if chain is None:
        return "it needs tls.crt and tls.key, or cert and key"
    try:
        # What is odd about a certificate is for those to say who accept it.
        with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
            certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        return "its certificate is not PEM"
    now = q.get(NOW, "")
    for one in certificates:
        if now and not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            return f"its certificate is valid from {one.not_valid_before_utc} to {one.not_valid_after_utc}"
    return ""


def _chain(secret: Secret) -> bytes | None:
    written: Mapping[str, bytes] = {**secret.data, **{key: text.encode() for key, text in secret.string_data.items()}}
    for certificate, key in _KEYS:
        if written.get(certificate) and written.get(key):
            return written[certificate]
    return None


def _unusable(ref: Ref, field: str, secret: Resource[Secret], flaw: str) -> Finding:
    return Finding(
        code="IST0161",
        severity=Severity.ERROR,
        message=f"The credential referenced by the Gateway {ref.name} in namespace {secret.ref.namespace} is invalid,"
        f" which can cause the traffic not to work as expected: {flaw}",
        ref=ref,
        field=field,
        hint=f"Put a valid certificate and its key into Secret {secret.ref.namespace}/{secret.ref.name}",
    )
