"""From the secrets that an Envoy holds to the rows that ``istioctl proxy-config secret`` shows of them.

Source: istioctl/pkg/writer/compare/sds (util.go, writer.go) for columns and words; RFC 5280 for certificates.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pilotpy.explain.config_dump import HeldSecret

if TYPE_CHECKING:
    from cryptography import x509  # late: the other commands that explain do without

HEADER: Final = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")


def rows(secrets: Iterable[HeldSecret], now: datetime) -> list[tuple[object, ...]]:
    """Return a row for each secret, in their order; of a chain or a bundle the first certificate counts."""
    return [(held.name, *_told(held.state, _certificate(held.secret), now)) for held in secrets]


def _told(state: str, found: x509.Certificate | None, now: datetime) -> tuple[object, ...]:
    if found is None:
        return "-", state, "false", "-", "-", "-"
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    return (
        "CA" if _is_authority(found) else "Cert Chain",
        state,
        str(begins < now < ends).lower(),
        f"{found.serial_number:032x}",
        *(f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (ends, begins)),
    )


def _certificate(secret: Mapping[str, Any]) -> x509.Certificate | None:
    from cryptography import x509

    chain = secret.get("tls_certificate", {}).get("certificate_chain")
    source = chain or secret.get("validation_context", {}).get("trusted_ca") or {}
    try:
        pem = b64decode(source.get("inline_bytes", "")) or str(source.get("inline_string", "")).encode()
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        return None  # in a file, or no certificate: what cannot be read is not valid


def _is_authority(found: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
