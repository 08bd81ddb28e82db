"""The Gateway API's kinds, watched: they come and go, in the versions that are installed."""

import asyncio
from asyncio import to_thread
from contextlib import asynccontextmanager

import pytest

from pilotpy.model.resource import Ref
from pilotpy.schema import codes
from tests.kube.objects import definition
from tests.kube.waiting import soon
from tests.kube.watching import watching

GROUP = "gateway.networking.k8s.io"
EXPERIMENTS = "gateway.networking.x-k8s.io"
APPROVED = {"api-approved.kubernetes.io": "unapproved, made for a test"}
RULES = [{"backendRefs": [{"name": "web", "port": 80}]}]
LISTENERS = [{"name": "http", "port": 80, "protocol": "HTTP"}]


def kind(plural, name, *versions, scope="Namespaced", group=GROUP):
    made = definition(plural, name, group, *versions)
    return made | {
        "metadata": made["metadata"] | {"annotations": APPROVED},
        "spec": made["spec"] | {"scope": scope},
    }


def written(namespace, of, name, version, **spec):
    metadata = {"namespace": namespace, "name": name} if namespace else {"name": name}
    return {"apiVersion": f"{GROUP}/{version}", "kind": of, "metadata": metadata, "spec": spec}


@asynccontextmanager
async def installed(apiserver, *definitions):
    """Kinds that are there for a while."""
    for one in definitions:
        await to_thread(apiserver.admin.create, one)
    try:
        yield
    finally:
        for one in definitions:
            await to_thread(apiserver.admin.delete, one)
        names = {one["metadata"]["name"] for one in definitions}
        await soon(lambda: not names & defined(apiserver))


def defined(apiserver):
    listed = apiserver.admin.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    return {one["metadata"]["name"] for one in listed["items"]}


@pytest.mark.parametrize(
    ("plural", "of", "version", "spec"),
    [
        ("httproutes", "HTTPRoute", "v1", {"rules": RULES}),
        ("httproutes", "HTTPRoute", "v1beta1", {"rules": RULES}),
        ("tlsroutes", "TLSRoute", "v1alpha2", {"rules": RULES}),
        ("tlsroutes", "TLSRoute", "v1alpha3", {"hostnames": ["a.com"], "rules": RULES}),
        ("gateways", "Gateway", "v1", {"gatewayClassName": "istio", "listeners": LISTENERS}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kind_is_heard_in_the_version_that_is_installed(apiserver, plural, of, version, spec):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        called = "KubernetesGateway" if of == "Gateway" else of
        async with watching(apiserver) as watcher:
            async with installed(apiserver, kind(plural, of, version)):
                await soon(lambda: apiserver.admin.create(written(namespace, of, "web", version, **spec)))
                await watcher.until(lambda: watcher.names(called, namespace) == {"web"}, within=20)
                assert of != "Gateway" or not watcher.names("Gateway", namespace), "it is none of Istio's"
                ref = Ref(called, namespace, "web")
                said = [one.code for one in watcher.cluster.findings if one.ref == ref]
                assert said == [codes.NOT_COMPILED], "that it is not served is said once"
            await watcher.until(lambda: not watcher.names(called, namespace), within=20)
            assert not [one for one in watcher.cluster.findings if one.ref == ref]

    asyncio.run(story())


def test_a_kind_in_a_version_that_nobody_reads_is_told_and_holds_up_nothing(apiserver):
    async def story():
        async with (
            installed(apiserver, kind("backendtlspolicies", "BackendTLSPolicy", "v1alpha2")),
            watching(apiserver) as watcher,
        ):
            assert watcher.cluster.is_synced
            said = [one.message for one in watcher.cluster.findings if one.code == codes.UNHEARD]
            name, versions = f"backendtlspolicies.{GROUP}", "installed in none of the versions v1, v1alpha3"
            assert said == [f"{name} cannot be watched: {versions}"]

    asyncio.run(story())


def test_a_class_of_the_cluster_is_heard(apiserver):
    async def story():
        async with (
            installed(apiserver, kind("gatewayclasses", "GatewayClass", "v1", scope="Cluster")),
            watching(apiserver) as watcher,
        ):
            made = written("", "GatewayClass", "ours", "v1", controllerName="istio.io/gateway-controller")
            await soon(lambda: apiserver.admin.create(made))
            await watcher.until(lambda: watcher.names("GatewayClass", "") == {"ours"}, within=20)

    asyncio.run(story())


def test_what_is_wrong_with_a_route_is_said_and_what_it_said_before_counts(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        async with installed(apiserver, kind("httproutes", "HTTPRoute", "v1")), watching(apiserver) as watcher:
            route = written(namespace, "HTTPRoute", "web", "v1", rules=RULES)
            await soon(lambda: apiserver.admin.create(route))
            await watcher.until(lambda: watcher.names("HTTPRoute", namespace), within=20)
            await to_thread(apiserver.admin.patch, route, {"spec": {"hostnames": ["No Host"]}})
            ref = Ref("HTTPRoute", namespace, "web")

            def said():
                return [(one.code, one.field) for one in watcher.cluster.findings if one.ref == ref]

            await soon(lambda: said() == [(codes.INVALID, "spec.hostnames[0]")])
            assert watcher.objects[ref].spec.hostnames == ()

    asyncio.run(story())


def test_of_an_experiment_it_is_said_that_it_is_not_served(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        experiment = kind("xlistenersets", "XListenerSet", "v1alpha1", group=EXPERIMENTS)
        async with installed(apiserver, experiment), watching(apiserver) as watcher:
            one = written(namespace, "XListenerSet", "more", "v1alpha1", listeners=LISTENERS)
            await soon(lambda: apiserver.admin.create(one | {"apiVersion": f"{EXPERIMENTS}/v1alpha1"}))
            ref = Ref("XListenerSet", namespace, "more")
            said = [codes.NOT_COMPILED]
            await soon(lambda: [one.code for one in watcher.cluster.findings if one.ref == ref] == said)

    asyncio.run(story())


def test_ingresses_and_their_classes_are_heard(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        ingress = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"namespace": namespace, "name": "web"},
            "spec": {"ingressClassName": namespace, "defaultBackend": backend},
        }
        its_class = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": namespace},
            "spec": {"controller": "istio.io/ingress-controller"},
        }
        async with watching(apiserver) as watcher:
            await to_thread(apiserver.admin.create, its_class, ingress)
            await watcher.until(lambda: watcher.names("Ingress", namespace) == {"web"}, within=20)
            await watcher.until(lambda: namespace in watcher.names("IngressClass", ""), within=20)
            for one in (ingress, its_class):
                await to_thread(apiserver.admin.delete, one)
            await watcher.until(lambda: not watcher.names("Ingress", namespace), within=20)
            await watcher.until(lambda: namespace not in watcher.names("IngressClass", ""), within=20)

    asyncio.run(story())
