"""From the secrets that a proxy asks for by name to what Envoy is sent of them.

Other collections are all that a proxy may have, and its session picks; of these only what was asked for is looked up,
so that no private key is ever held for somebody who has not asked for it. What is not there, or not for this proxy, is
left out. Source: istiod's ``pilot/pkg/xds/sds.go``; envoy/extensions/transport_sockets/tls/v3/secret.proto.
"""

from __future__ import annotations

from pilotpy.compile.encoded import EMPTY, Encoded, Tree
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.credentials import Absent, KeyPair, credential
from pilotpy.mesh.secret_readers import may_read_secrets
from pilotpy.mesh.view import Identity
from pilotpy.model.resource import Finding, Severity
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

_ABSENT = "PP0601"


@query
def secrets(q: Asking, identity: Identity | None, names: tuple[str, ...]) -> Tree:
    """Those of the names that a proxy with this identity may have, in their order; without an identity, none."""
    if identity is None:
        q.note(_absent("secrets are for proxies that prove who they are: on port 15012"))
        return EMPTY
    trusted = q(may_read_secrets, *identity)
    return Tree(q(secret, name, identity.namespace, trusted) for name in names)


@query(otherwise=lambda name, namespace, trusted: EMPTY)  # noqa: ARG005 - named as the query names them
def secret(q: Asking, name: str, namespace: str, trusted: bool) -> Tree:  # noqa: FBT001 - a key is positional
    """One secret, for proxies of a namespace that may or may not read its Secrets; empty: it is left out."""
    found = credential(q, name, namespace, trusted=trusted)
    if isinstance(found, Absent):
        q.note(_absent(f"secret {name[:300]} is not sent to proxies of namespace {namespace}: {found.reason}"))
        return EMPTY
    message = Secret(name=name)
    if isinstance(found, KeyPair):
        message.tls_certificate.certificate_chain.inline_bytes = found.chain
        message.tls_certificate.private_key.inline_bytes = found.key
        if found.staple:
            message.tls_certificate.ocsp_staple.inline_bytes = found.staple
    else:
        message.validation_context.trusted_ca.inline_bytes = found.certificates
        if found.crl:
            message.validation_context.crl.inline_bytes = found.crl
    return Tree([Encoded(name, serialised(message))])


def _absent(message: str) -> Finding:
    hint = "Keep the Secret in the namespace of the Pods that ask for it, with tls.crt and tls.key"
    return Finding(code=_ABSENT, severity=Severity.WARNING, message=message, hint=hint)


def redacted(message: Secret) -> Secret:
    """The secret without anything secret: names, certificates and authorities, nothing else."""
    shown = Secret(name=message.name)
    match message.WhichOneof("type"):
        case "tls_certificate":
            shown.tls_certificate.certificate_chain.CopyFrom(message.tls_certificate.certificate_chain)
            shown.tls_certificate.private_key.inline_bytes = b"[redacted]"
        case "validation_context":
            shown.validation_context.CopyFrom(message.validation_context)
    return shown
