"""A cluster as a source, against a real API server: what is written is heard, whatever happens on the way."""

import asyncio
from asyncio import to_thread
from datetime import timedelta

import pytest

from pilotpy.model.resource import Ref
from pilotpy.sources.mesh_settings import MESH_CONFIG
from tests.kube.objects import config_map, definition, endpoint_slice, pod, running, service, virtual_service
from tests.kube.waiting import eventually
from tests.kube.watching import TIMING, watching

ROUTES = definition("virtualservices", "VirtualService", "networking.istio.io", "v1beta1", "v1alpha3")


def test_what_is_written_is_heard(apiserver):
    async def story():
        async with watching(apiserver) as watcher:
            namespace = await to_thread(apiserver.namespace)
            await to_thread(apiserver.admin.create, service(namespace, "reviews", 9080))
            made = await to_thread(apiserver.admin.create, pod(namespace, "reviews-1", app="reviews"))
            await to_thread(apiserver.admin.status, running(made, "10.1.0.1"))
            await to_thread(apiserver.admin.create, endpoint_slice(namespace, "reviews", "10.1.0.1"))
            await watcher.until(lambda: watcher.names("EndpointSlice", namespace))

            heard = watcher.one("Service", namespace, "reviews")
            assert heard.spec.ports[0].port == 9080
            assert heard.spec.cluster_ip.startswith("10.")
            heard = watcher.one("Pod", namespace, "reviews-1")
            assert heard.meta.labels == {"app": "reviews"}
            assert (heard.spec.status.pod_ip, heard.spec.node_name) == ("10.1.0.1", "node-1")
            assert heard.spec.containers[0].ports[0].name == "http"

            await to_thread(apiserver.admin.delete, service(namespace, "reviews"))
            await watcher.until(lambda: not watcher.names("Service", namespace))

    asyncio.run(story())


def test_a_status_that_says_nothing_to_a_mesh_is_not_heard(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        made = await to_thread(apiserver.admin.create, pod(namespace, "web-1"))
        made = await to_thread(apiserver.admin.status, running(made, "10.1.0.2"))
        async with watching(apiserver) as watcher:
            watcher.heard()
            for i in range(3):
                conditions = [*made["status"]["conditions"], {"type": f"Noted{i}", "status": "True", "reason": "Said"}]
                await to_thread(apiserver.admin.status, made | {"status": made["status"] | {"conditions": conditions}})
            await to_thread(apiserver.admin.create, service(namespace, "last"))
            await watcher.until(lambda: watcher.names("Service", namespace))
            assert watcher.one("Pod", namespace, "web-1").spec.status.pod_ip == "10.1.0.2"
            assert watcher.batches == 2  # all that there was, and the Service

    asyncio.run(story())


def test_a_kind_comes_and_goes_with_its_definition(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        async with watching(apiserver) as watcher:
            assert not watcher.names("VirtualService", namespace)
            await to_thread(apiserver.admin.create, ROUTES)
            route = virtual_service(namespace, "reviews", "reviews", version="v1beta1")
            await to_thread(eventually, lambda: apiserver.admin.create(route))
            await watcher.until(lambda: watcher.names("VirtualService", namespace))

            await to_thread(apiserver.admin.delete, ROUTES)
            await watcher.until(lambda: not watcher.names("VirtualService", namespace), within=15)

            assert await to_thread(eventually, lambda: not exists(apiserver, ROUTES))
            newer = definition("virtualservices", "VirtualService", "networking.istio.io", "v1")
            await to_thread(eventually, lambda: apiserver.admin.create(newer))
            route = virtual_service(namespace, "ratings", "ratings")
            await to_thread(eventually, lambda: apiserver.admin.create(route))
            await watcher.until(lambda: watcher.names("VirtualService", namespace) == {"ratings"})
        await to_thread(apiserver.admin.delete, newer)
        assert await to_thread(eventually, lambda: not exists(apiserver, newer))

    asyncio.run(story())


def test_an_object_that_does_not_count_is_told_of_though_nothing_else_happens(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, ROUTES)
        broken = virtual_service(namespace, "broken", "reviews", version="v1beta1")
        broken["spec"]["http"][0]["match"] = [{"uri": {"regex": "("}}]
        async with watching(apiserver) as watcher:
            await to_thread(eventually, lambda: apiserver.admin.create(broken))
            await watcher.until(lambda: watcher.findings)
            await to_thread(apiserver.admin.delete, broken)
            await watcher.until(lambda: not watcher.findings)
        await to_thread(apiserver.admin.delete, ROUTES)
        assert await to_thread(eventually, lambda: not exists(apiserver, ROUTES))

    asyncio.run(story())


def test_a_tag_of_a_webhook_is_another_name_of_the_revision(apiserver):
    routes = definition("virtualservices", "VirtualService", "networking.istio.io", "v1")
    labels = {"istio.io/tag": "prod", "istio.io/rev": "default"}
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-revision-tag-prod", "labels": labels},
    }

    async def story():
        namespace = await to_thread(apiserver.namespace)
        route = virtual_service(namespace, "reviews", "reviews")
        route["metadata"]["labels"] = {"istio.io/rev": "prod"}
        other = virtual_service(namespace, "ratings", "ratings")
        await to_thread(eventually, lambda: apiserver.admin.create(other, route))
        async with watching(apiserver) as watcher:
            await watcher.until(lambda: watcher.names("VirtualService", namespace) == {"ratings"})
            await to_thread(apiserver.admin.create, webhook)
            await watcher.until(lambda: watcher.names("VirtualService", namespace) == {"ratings", "reviews"})
            await to_thread(apiserver.admin.patch, webhook, {"metadata": {"labels": {"istio.io/tag": None}}})
            await watcher.until(lambda: watcher.names("VirtualService", namespace) == {"ratings"})

    apiserver.admin.create(routes)
    try:
        asyncio.run(story())
    finally:
        for one in (webhook, routes):
            if exists(apiserver, one):
                apiserver.admin.delete(one)
        eventually(lambda: not exists(apiserver, routes))


def exists(apiserver, one):
    try:
        return apiserver.admin.read(one)
    except Exception:  # noqa: BLE001
        return None


@pytest.mark.parametrize("restarted", [False, True], ids=["the link alone", "the server too, and it has forgotten"])
def test_what_happens_while_nothing_is_heard_is_heard_after(apiserver, restarted):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        for name in ("stays", "goes"):
            await to_thread(apiserver.admin.create, service(namespace, name))
        async with watching(apiserver) as watcher:
            assert watcher.names("Service", namespace) == {"stays", "goes"}
            watcher.link.cut()
            await to_thread(apiserver.admin.delete, service(namespace, "goes"))
            await to_thread(apiserver.admin.create, service(namespace, "comes"))
            if restarted:
                await to_thread(lambda: apiserver.restart(compacted=True))
            await watcher.until(lambda: watcher.findings)
            assert watcher.names("Service", namespace) == {"stays", "goes"}, "nothing is taken away meanwhile"
            watcher.link.mend()
            await watcher.until(lambda: watcher.names("Service", namespace) == {"stays", "comes"}, within=20)
            await watcher.until(lambda: not watcher.findings, within=20)
            gone = [ref for ref, port in watcher.history if port is None]
            assert gone == ["goes"], "what stays is never gone"
            assert (("services", "EXPIRED") in watcher.counted) == restarted, (
                "and all is listed anew only if it must be"
            )

    asyncio.run(story())


def test_a_link_that_holds_still_without_closing_is_left(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        async with watching(apiserver, timing=TIMING._replace(stall=timedelta(seconds=1))) as watcher:
            watcher.link.hold()
            await to_thread(apiserver.admin.create, service(namespace, "late"))
            await watcher.until(lambda: watcher.findings, within=10)
            watcher.link.release()
            await watcher.until(lambda: watcher.names("Service", namespace), within=20)

    asyncio.run(story())


def test_the_settings_of_the_mesh_choose_namespaces_and_labels_move_them(apiserver):
    async def story():
        system = await to_thread(apiserver.namespace, "system-")
        chosen = await to_thread(lambda: apiserver.namespace("in-", mesh="yes"))
        other = await to_thread(apiserver.namespace, "out-")
        for namespace in (chosen, other):
            await to_thread(apiserver.admin.create, service(namespace, "web"))
        settings = Ref("ConfigMap", system, "istio")
        async with watching(apiserver, settings=settings) as watcher:
            assert watcher.names("Service", chosen) == watcher.names("Service", other) == {"web"}
            mesh = "discoverySelectors: [{matchLabels: {mesh: 'yes'}}]\n"
            written = await to_thread(apiserver.admin.create, config_map(system, "istio", mesh=mesh))
            await watcher.until(lambda: not watcher.names("Service", other))
            assert watcher.names("Service", chosen) == {"web"}
            assert watcher.objects[MESH_CONFIG].spec.discovery_selectors

            name = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
            await to_thread(apiserver.admin.patch, name, {"metadata": {"labels": {"mesh": "yes"}}})
            await watcher.until(lambda: watcher.names("Service", other))

            await to_thread(apiserver.admin.replace, {**written, "data": {"mesh": "discoverySelectors: 7\n"}})
            await watcher.until(lambda: watcher.findings)
            assert watcher.objects[MESH_CONFIG].spec.discovery_selectors, "what was good last stays in force"

    asyncio.run(story())
