"""SPIFFE IDs as Istio writes them: spiffe://<trust domain>/ns/<namespace>/sa/<service account>.

Source: pkg/spiffe/spiffe.go of istio/istio; the SPIFFE-ID standard, section 2, for the characters.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SCHEME: Final = "spiffe://"
_TRUST_DOMAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
_SEGMENT: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,253}")


class SpiffeId(NamedTuple):
    """Who a workload is."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def parse(cls, uri: str) -> SpiffeId:
        """The parts of an ID. Raises `ValueError` for anything that has not exactly Istio's form."""
        parts = uri.removeprefix(_SCHEME).split("/")
        if not uri.startswith(_SCHEME) or len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa":
            raise ValueError(f"not a SPIFFE ID of a workload: {uri[:300]!r}")
        return cls.of(parts[0], parts[2], parts[4])

    @classmethod
    def of(cls, trust_domain: str, namespace: str, service_account: str) -> SpiffeId:
        """An ID of its parts. Raises `ValueError` for parts that are empty or hold characters of their own meaning."""
        domain = trust_domain.replace("@", ".")  # as Istio does with trust domains that were service accounts
        if not _TRUST_DOMAIN.fullmatch(domain):
            raise ValueError(f"not a trust domain: {trust_domain[:300]!r}")
        for part in (namespace, service_account):
            if not is_segment(part):
                raise ValueError(f"not a namespace or service account: {part[:300]!r}")
        return cls(domain, namespace, service_account)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def is_segment(text: str) -> bool:
    """Whether a name can stand between two slashes of an ID, or be a folder's."""
    return _SEGMENT.fullmatch(text) is not None
