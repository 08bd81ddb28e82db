"""TLS of clients (DestinationRule) and servers (Gateway, Sidecar).

Source: istio/istio pkg/config/validation/agent/validation.go, ValidateTLS, and validation.go, validateTLSOptions.
"""

from __future__ import annotations

from typing import Final

from pilotpy.model.destination_rule import ClientTLSSettings
from pilotpy.model.gateway import ServerTLSSettings, TLSCertificate
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning

CIPHER_SUITES: Final = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
"""What BoringSSL knows."""

_NO_CERTIFICATES: Final = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})
_CONFIG_MAP = "configmap://"


def client_tls(tls: ClientTLSSettings | None, at: str, namespace: str) -> Problems:
    """How connections to a destination are secured."""
    if tls is None:
        return
    if tls.credential_name.startswith(_CONFIG_MAP):
        yield from _config_map(tls.credential_name, f"{at}.credentialName", namespace)
    if tls.insecure_skip_verify:
        yield from _unverified(tls, at)
    if tls.mode in {"SIMPLE", "MUTUAL"} and tls.credential_name:
        if tls.client_certificate or tls.private_key or tls.ca_certificates or tls.ca_crl:
            yield Problem(at, "With a credentialName there are no certificates from files")
    elif tls.mode == "MUTUAL":
        for field, given in (("clientCertificate", tls.client_certificate), ("privateKey", tls.private_key)):
            if not given:
                yield Problem(f"{at}.{field}", f"Mode MUTUAL needs a {field}")


def _unverified(tls: ClientTLSSettings, at: str) -> Problems:
    unused: dict[str, object] = {}
    if tls.mode in {"SIMPLE", "MUTUAL"}:
        unused = {"caCertificates": tls.ca_certificates, "subjectAltNames": tls.subject_alt_names}
    if tls.mode == "SIMPLE":
        unused["credentialName"] = tls.credential_name
    for field in (field for field, given in unused.items() if given):
        yield Problem(f"{at}.{field}", "There is nothing to verify with insecureSkipVerify")


def _config_map(name: str, at: str, namespace: str) -> Problems:
    where, slash, own = name.removeprefix(_CONFIG_MAP).partition("/")
    if slash and not (where and own):
        yield Problem(at, f"{name!r} is not of the form configmap://namespace/name")
    elif not namespace or (slash and where != namespace):
        yield Problem(at, f"The ConfigMap must be in namespace {namespace!r}")


def server_tls(tls: ServerTLSSettings | None, at: str) -> Problems:
    """How connections to a server are secured."""
    if tls is None:
        return
    yield from _ciphers(tls, at)
    if tls.mode == "ISTIO_MUTUAL":
        for field in _certificates(tls):
            yield Problem(f"{at}.{field}", "Mode ISTIO_MUTUAL has its certificates from the mesh")
        return
    if tls.mode in _NO_CERTIFICATES:
        if _certificates(tls) or tls.ca_crl:
            yield warning(at, f"Mode {tls.mode} uses no certificates: they are ignored")
    elif not (tls.credential_name or tls.credential_names):
        yield from _from_files(tls, at)
    pair = tls.server_certificate and tls.private_key
    if sum(map(bool, (pair, tls.credential_name, tls.credential_names, tls.tls_certificates))) > 1:
        yield Problem(at, "Certificates come from one place: files, tlsCertificates, credentialName or credentialNames")
    if tls.ca_crl and tls.mode == "SIMPLE" and not (tls.credential_name or tls.credential_names):
        yield Problem(
            f"{at}.caCrl",
            "Mode SIMPLE asks for no client certificate that could be revoked",
            "Write mode MUTUAL, or leave caCrl out",
        )
    if tls.ca_crl and tls.credential_name and tls.mode in _NO_CERTIFICATES:
        yield Problem(
            f"{at}.caCrl",
            "With a credentialName revocations stand in the credential",
            "Put them into the credential, under ca.crl",
        )


def _certificates(tls: ServerTLSSettings) -> list[str]:
    """The fields that name certificates, of those that are set."""
    fields = {
        "serverCertificate": tls.server_certificate,
        "privateKey": tls.private_key,
        "caCertificates": tls.ca_certificates,
        "tlsCertificates": tls.tls_certificates,
        "credentialName": tls.credential_name,
        "credentialNames": tls.credential_names,
    }
    return [field for field, given in fields.items() if given]


def _from_files(tls: ServerTLSSettings, at: str) -> Problems:
    if tls.mode in {"MUTUAL", "OPTIONAL_MUTUAL"} and not tls.ca_certificates:
        yield Problem(f"{at}.caCertificates", f"Mode {tls.mode} needs caCertificates to verify clients")
    if len(tls.tls_certificates) > 2:
        yield warning(f"{at}.tlsCertificates", "At most two certificates are used", "Take the others out")
    own = TLSCertificate(server_certificate=tls.server_certificate, private_key=tls.private_key)
    for i, pair in enumerate(tls.tls_certificates or (own,)):
        here = below(f"{at}.tlsCertificates", i) if tls.tls_certificates else at
        if not pair.server_certificate:
            yield Problem(f"{here}.serverCertificate", f"Mode {tls.mode} needs a serverCertificate")
        if not pair.private_key:
            yield Problem(f"{here}.privateKey", f"Mode {tls.mode} needs a privateKey")


def _ciphers(tls: ServerTLSSettings, at: str) -> Problems:
    if tls.min_protocol_version in {"TLSV1_0", "TLSV1_1"} and not tls.cipher_suites:
        yield warning(f"{at}.minProtocolVersion", "Old versions of TLS need cipherSuites that they know")
    seen: set[str] = set()
    for i, suite in enumerate(tls.cipher_suites):
        here = below(f"{at}.cipherSuites", i)
        if suite[:1].isalnum() and suite != "ALL" and suite not in CIPHER_SUITES:
            yield warning(here, f"{suite!r} is not known: it is ignored")
        elif suite in seen:
            yield warning(here, f"{suite!r} stands there twice")
        seen.add(suite)
