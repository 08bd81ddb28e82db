from __future__ import annotations

from pilotpy.compile.trust_bundle import trust_bundle
from pilotpy.engine import Put
from pilotpy.mesh.trusted_roots import ROOTS, trusted_roots
from pilotpy.model.mesh_config import TrustedCertificates
from pilotpy_protos.istio.mesh.v1alpha1.proxy_config_pb2 import ProxyConfig
from tests.mesh.world import World


def pem(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def test_what_the_authority_publishes_and_what_the_mesh_adds_is_one_bundle_sorted_each_once():
    world = World()
    world.settings(ca_certificates=(TrustedCertificates(pem=pem("c") + "# a comment\n" + pem("a")),))
    world.engine.apply([Put(ROOTS, ("",), (pem("b"), pem("a")))])
    assert world.engine.ask(trusted_roots) == (pem("a"), pem("b"), pem("c"))
    (bundle,) = world.engine.ask(trust_bundle)
    assert ProxyConfig.FromString(bytes(bundle)).ca_certificates_pem == [pem("a"), pem("b"), pem("c")]


def test_nobody_is_told_to_trust_nothing():
    assert len(World().engine.ask(trust_bundle)) == 0
