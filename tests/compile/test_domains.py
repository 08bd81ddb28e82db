"""The domains by which services are found."""

import pytest

from pilotpy.compile.domains import Called
from pilotpy.mesh.service import Registry, Resolution, Service, ServiceKey
from tests.compile.routing import hosts, seen, service
from tests.mesh.world import World


def a_service(host: str = "foo.a.svc.cluster.local", **facts) -> Service:
    facts = {"registry": Registry.KUBERNETES, "resolution": Resolution.CLIENT_SIDE, **facts}
    return Service(key=ServiceKey("a", host), name="foo", ports=(), **facts)


WHOLE = ("foo.a.svc.cluster.local", "foo.a.svc.cluster.local.")


@pytest.mark.parametrize(
    ("found", "aliases", "called", "want"),
    [
        pytest.param(
            a_service(), (), Called("a"), (*WHOLE, "foo", "foo.a.svc", "foo.a"), id="short names at home are all there"
        ),
        pytest.param(
            a_service(), (), Called(), (*WHOLE, "foo.a", "foo.a.svc"), id="elsewhere the namespace must be said"
        ),
        pytest.param(
            a_service(addresses=("10.0.0.1", "fd00::1", "10.1.0.0/16")),
            (),
            Called(),
            (*WHOLE, "foo.a", "foo.a.svc", "10.0.0.1", "[fd00::1]"),
            id="addresses follow, version 6 in brackets, ranges are none",
        ),
        pytest.param(
            a_service(resolution=Resolution.PASSTHROUGH),
            (),
            Called(),
            (
                *WHOLE,
                "foo.a",
                "foo.a.svc",
                "*.foo.a.svc.cluster.local",
                "*.foo.a.svc.cluster.local.",
                "*.foo.a",
                "*.foo.a.svc",
            ),
            id="a headless service has its pods' names too",
        ),
        pytest.param(
            a_service("api.example.com", registry=Registry.EXTERNAL, resolution=Resolution.PASSTHROUGH),
            (),
            Called("a"),
            ("api.example.com",),
            id="a host outside the cluster has no other names",
        ),
        pytest.param(
            a_service(),
            ("old.b.svc.cluster.local",),
            Called("b"),
            (
                *WHOLE,
                "foo.a",
                "foo.a.svc",
                "old.b.svc.cluster.local",
                "old.b.svc.cluster.local.",
                "old",
                "old.b.svc",
                "old.b",
            ),
            id="an alias is short where the alias lives",
        ),
        pytest.param(
            a_service(),
            (),
            Called("", ((ServiceKey("a", "foo.a.svc.cluster.local"), "foo.a"),)),
            (*WHOLE, "foo.a.svc"),
            id="what somebody else has is left out",
        ),
        pytest.param(
            a_service("x.com", registry=Registry.EXTERNAL),
            (),
            Called(proxied=True),
            ("x.com:8080",),
            id="users of a proxy say the port",
        ),
    ],
)
def test_a_service_has_domains(found, aliases, called, want):
    assert called.domains(found, aliases, 8080) == want


def test_users_of_a_proxy_need_not_say_80():
    found = a_service("x.com", registry=Registry.EXTERNAL)
    assert Called(proxied=True).domains(found, (), 80) == ("x.com", "x.com:80")


def test_an_alias_is_a_domain_of_what_it_stands_for_and_has_no_host_of_its_own():
    alias = """
apiVersion: v1
kind: Service
metadata: {name: old, namespace: b}
spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local, ports: [{name: http, port: 80}]}
"""
    found = hosts(World(service("reviews", address="10.0.0.1"), alias))
    assert set(found) == {"reviews.default.svc.cluster.local:80", "allow_any"}
    assert "old.b" in found["reviews.default.svc.cluster.local:80"].domains


def test_only_clients_of_the_namespace_use_the_bare_name():
    world = World(service("reviews", address="10.0.0.1"))
    name = "reviews.default.svc.cluster.local:80"
    assert "reviews" in hosts(world)[name].domains
    assert "reviews" not in hosts(world, by=seen(world, "elsewhere"))[name].domains
