"""What a proxy is sent of the Secrets and ConfigMaps that it asks for."""

from __future__ import annotations

from base64 import b64encode

import pytest

from pilotpy.compile.secrets import redacted, secrets
from pilotpy.engine import Put
from pilotpy.mesh.kinds import CONFIG_MAPS, SECRETS
from pilotpy.mesh.view import Identity
from pilotpy.model.kubernetes import ConfigMap
from pilotpy.model.kubernetes import Secret as KubeSecret
from pilotpy.model.resource import Finding, Meta, Ref, Resource
from pilotpy_protos.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from tests.mesh.world import World

SHOP = Identity("shop", "gateway")


def written(namespace: str, name: str, **data: bytes) -> Put:
    keys = {key.replace("_", "."): value for key, value in data.items()}
    ref = Ref("Secret", namespace, name)
    return Put(SECRETS, (namespace, name), Resource(ref, Meta(name=name), KubeSecret(data=keys)))


def config_map(namespace: str, name: str, text: str) -> Put:
    ref = Ref("ConfigMap", namespace, name)
    return Put(CONFIG_MAPS, (namespace, name), Resource(ref, Meta(name=name), ConfigMap(data={"ca.crt": text})))


@pytest.fixture
def world() -> World:
    world = World()
    world.engine.apply(
        [
            written("shop", "generic", cert=b"C", key=b"K", tls_crt=b"c", tls_key=b"k"),
            written("shop", "tls", tls_crt=b"c", tls_key=b"k", ca_crt=b"a", ca_crl=b"r", **{"tls_ocsp-staple": b"o"}),
            written("shop", "empty", cert=b"", key=b"K", tls_crt=b"c", tls_key=b"k"),
            written("shop", "own-cacert", cacert=b"A", crl=b"R"),
            written("shop", "own", cert=b"C", key=b"K", cacert=b"beside"),
            written("shop", "keyless", tls_crt=b"c"),
            written("bank", "vault", tls_crt=b"c", tls_key=b"k", ca_crt=b"a"),
            config_map("bank", "roots", "public"),
        ]
    )
    return world


def asked(world: World, *names: str, identity: Identity | None = SHOP) -> dict[str, Secret]:
    return {one.name: Secret.FromString(bytes(one)) for one in world.engine.ask(secrets, identity, names)}


@pytest.mark.parametrize(
    ("name", "chain", "key"),
    [
        pytest.param("kubernetes://generic", b"C", b"K", id="cert and key come before tls.crt and tls.key"),
        pytest.param("kubernetes://tls", b"c", b"k", id="tls.crt and tls.key"),
        pytest.param("kubernetes://empty", b"c", b"k", id="an empty value is none"),
        pytest.param("kubernetes://shop/tls", b"c", b"k", id="the own namespace may be named"),
    ],
)
def test_a_key_pair_is_found_under_istios_keys(world, name, chain, key):
    found = asked(world, name)[name].tls_certificate
    assert (found.certificate_chain.inline_bytes, found.private_key.inline_bytes) == (chain, key)


@pytest.mark.parametrize(
    ("name", "roots", "crl"),
    [
        pytest.param("kubernetes://tls-cacert", b"a", b"r", id="beside the key pair"),
        pytest.param("kubernetes://own-cacert", b"A", b"R", id="in a Secret of its own, which comes first"),
        pytest.param("configmap://bank/roots", b"public", b"", id="in a ConfigMap of any namespace"),
        pytest.param("configmap://bank/roots-cacert", b"public", b"", id="in a ConfigMap, with the suffix"),
    ],
)
def test_authorities_are_found(world, name, roots, crl):
    found = asked(world, name)[name]
    assert not found.HasField("tls_certificate")
    assert found.validation_context.trusted_ca.inline_bytes == roots
    assert found.validation_context.crl.inline_bytes == crl


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("kubernetes://bank/vault", "not for proxies of namespace shop", id="another namespace's"),
        pytest.param("kubernetes://bank/vault-cacert", "not for proxies", id="another namespace's authorities"),
        pytest.param("kubernetes://vault", "no such Secret", id="one that is elsewhere"),
        pytest.param("kubernetes://shop/../bank/vault", "names of Secrets are", id="a path that climbs"),
        pytest.param("kubernetes:///tls", "names of Secrets are", id="an empty namespace"),
        pytest.param("kubernetes://keyless", "needs cert and key", id="one without a key"),
        pytest.param("kubernetes-gateway://bank/vault", "begin with", id="a gateway's, which nothing refers to"),
        pytest.param("configmap://roots", "no such ConfigMap", id="a ConfigMap without a namespace"),
        pytest.param("invalid://", "begin with", id="what Istio calls invalid"),
        pytest.param("default", "begin with", id="the workload's own certificate"),
    ],
)
def test_what_is_not_there_or_not_for_this_proxy_is_left_out_and_noted(world, name, why):
    assert asked(world, name, "kubernetes://tls").keys() == {"kubernetes://tls"}
    (note,) = world.engine.notes(secrets, SHOP, (name, "kubernetes://tls"))
    assert isinstance(note, Finding)
    assert why in note.message


def test_who_proved_nothing_gets_nothing(world):
    assert asked(world, "kubernetes://tls", "configmap://bank/roots", identity=None) == {}


def test_a_change_of_one_secret_is_a_change_of_that_one_alone(world):
    names = ("kubernetes://generic", "kubernetes://tls", "kubernetes://tls-cacert")
    before = {one.name: one for one in world.engine.ask(secrets, SHOP, names)}
    world.engine.apply([written("shop", "tls", tls_crt=b"new", tls_key=b"k", ca_crt=b"a", ca_crl=b"r")])
    after = {one.name: one for one in world.engine.ask(secrets, SHOP, names)}
    assert {name for name in names if before[name] != after[name]} == {"kubernetes://tls"}


@pytest.mark.parametrize("name", ["kubernetes://tls", "kubernetes://tls-cacert"])
def test_what_is_shown_of_a_secret_holds_no_key(world, name):
    whole = asked(world, name)[name]
    shown = redacted(whole)
    assert shown.name == name
    assert shown.tls_certificate.private_key.inline_bytes != b"k"
    assert shown.tls_certificate.certificate_chain == whole.tls_certificate.certificate_chain
    assert shown.validation_context == whole.validation_context


def test_an_object_that_holds_keys_does_not_show_them():
    key = b"-----BEGIN PRIVATE KEY-----"
    secret = Resource(
        Ref("Secret", "shop", "tls"), Meta(name="tls"), KubeSecret(data={"tls.key": key}, string_data={"k": "s3c"})
    )
    assert "PRIVATE" not in repr(secret)
    assert b64encode(key).decode() not in repr(secret)
    assert "s3c" not in repr(secret)
    assert "tls.key" in repr(secret)
