"""From the roots that a mesh trusts to the ProxyConfig that tells an agent of them.

The agent adds them to what its Envoy verifies peers with. Source: istiod's ``pilot/pkg/xds/pcds.go`` and
``istio/mesh/v1alpha1/proxy.proto``.
"""

from __future__ import annotations

from pilotpy.compile.encoded import EMPTY, Encoded, Tree
from pilotpy.compile.wire import serialised
from pilotpy.engine import Asking, query
from pilotpy.mesh.trusted_roots import trusted_roots
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig


@query
def trust_bundle(q: Asking) -> Tree:
    """The one bundle, under the name ""; none without roots, so that nobody is told to trust nothing."""
    roots = q(trusted_roots)
    return Tree([Encoded("", serialised(ProxyConfig(ca_certificates_pem=roots)))]) if roots else EMPTY
