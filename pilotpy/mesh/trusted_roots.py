"""The roots that the mesh trusts, as its proxies are told them.

From what the certificate authority publishes and what MeshConfig's ``caCertificates`` add to one bundle. Follows
istiod's ``pilot/pkg/trustbundle``; a ``spiffeBundleUrl`` is not fetched.
"""

from __future__ import annotations

import re

from pilotpy.engine import Asking, Kind, query
from pilotpy.mesh.config import mesh_config

ROOTS: Kind[tuple[str, ...]] = Kind("Roots")  # what the authority publishes, PEM, one each; the one key is ("",)

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@query
def trusted_roots(q: Asking) -> tuple[str, ...]:
    """Return the roots in PEM, one certificate each, sorted, no repeats; empty if nobody publishes any."""
    published = q.get(ROOTS, "") or ()
    texts = (*published, *(one.pem or "" for one in q(mesh_config).ca_certificates))
    return tuple(sorted({f"{block}\n" for text in texts for block in _BLOCK.findall(text)}))
