"""From environment variables to what an authority goes by, under istiod's names.

Source: pilot/pkg/bootstrap/istio_ca.go and pilot/pkg/features of istio/istio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pilotpy.ops.settings import Wrong, span
from pilotpy_ca.keys import KeyType
from pilotpy_ca.terms import Terms

_SPANS: Final = {
    "default_life": "DEFAULT_WORKLOAD_CERT_TTL",
    "longest_life": "MAX_WORKLOAD_CERT_TTL",
    "root_life": "CITADEL_SELF_SIGNED_CA_CERT_TTL",
}
_RSA_SIZE: Final = "CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE"
_MULTI_ROOT: Final = "ISTIO_MULTIROOT_MESH"
_RSA: Final = {"2048": KeyType.RSA_2048, "3072": KeyType.RSA_3072, "4096": KeyType.RSA_4096}


def terms_of(environment: Mapping[str, str], *, speed: float = 1.0) -> Terms:
    """What environment variables say; the rest as it is by default. The mesh's trust domain is not among it.

    `speed`: how much faster everything ages. Raises `Wrong`.
    """
    if speed <= 0:
        raise Wrong(f"a clock speed of {speed:g}: it has to be above 0")
    found: dict[str, Any] = {
        name: span(text, variable) for name, variable in _SPANS.items() if (text := environment.get(variable))
    }
    if size := environment.get(_RSA_SIZE):
        if size not in _RSA:
            raise Wrong(f"{_RSA_SIZE}: {size!r} is none of {', '.join(_RSA)}")
        found["key_type"] = _RSA[size]
    found["multi_root"] = environment.get(_MULTI_ROOT, "").lower() in {"1", "t", "true"}
    terms = Terms(**found)
    if terms.default_life > terms.longest_life:
        raise Wrong("DEFAULT_WORKLOAD_CERT_TTL is above MAX_WORKLOAD_CERT_TTL: nobody would get a certificate")
    return terms.at_speed(speed)
