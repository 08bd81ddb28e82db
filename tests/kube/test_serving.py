"""From a write at a real API server to what proxies are served."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio import to_thread

import pytest

from tests.kube.objects import endpoint_slice, pod, running, service, virtual_service
from tests.kube.served import destinations, places, serving, sidecar, until
from tests.kube.waiting import eventually
from tests.waiting import until as passed


def test_a_virtual_service_that_is_written_moves_requests(apiserver, routes):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        for name in ("reviews", "ratings"):
            await to_thread(apiserver.admin.create, service(namespace, name))
        async with serving(apiserver) as server, sidecar(server.address, namespace=namespace) as proxy:
            await until(proxy, lambda: destinations(proxy, "reviews") == {"reviews"})
            route = virtual_service(namespace, "reviews", "ratings")
            await to_thread(eventually, lambda: apiserver.admin.create(route))
            await until(proxy, lambda: destinations(proxy, "reviews") == {"ratings"})
            await to_thread(apiserver.admin.delete, route)
            await until(proxy, lambda: destinations(proxy, "reviews") == {"reviews"})

    asyncio.run(story())


def test_endpoints_are_where_their_pods_and_nodes_are(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        cluster = f"outbound|80||web.{namespace}.svc.cluster.local"
        await to_thread(apiserver.admin.create, service(namespace, "web"))
        async with serving(apiserver) as server, sidecar(server.address, namespace=namespace) as proxy:
            made = await to_thread(apiserver.admin.create, pod(namespace, "web-1", app="web"))
            await to_thread(apiserver.admin.status, running(made, "10.1.2.3"))
            slices = endpoint_slice(namespace, "web", "10.1.2.3")
            slices["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": "web-1"}
            await to_thread(apiserver.admin.create, slices)
            await until(proxy, lambda: places(proxy, cluster) == {("10.1.2.3", "")})

            labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": labels}}
            await to_thread(apiserver.admin.create, node)
            await until(proxy, lambda: places(proxy, cluster) == {("10.1.2.3", "z")})
            await to_thread(apiserver.admin.delete, node)

            pending = lambda: scraped(server, "pilot_k8s_endpoints_pending_pod")  # noqa: E731 - named
            others = pending()
            await to_thread(apiserver.admin.delete, made)
            await passed(lambda: pending() == others + 1)

            slices["endpoints"] = []
            await to_thread(apiserver.admin.replace, slices)
            await until(proxy, lambda: places(proxy, cluster) == set())

    asyncio.run(story())


def test_slices_are_not_needed_where_there_are_endpoints(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        cluster = f"outbound|80||old.{namespace}.svc.cluster.local"
        await to_thread(apiserver.admin.create, service(namespace, "old"))
        ports = [{"name": "http", "port": 8080}]
        metadata = {"namespace": namespace, "name": "old"}
        subsets = [{"addresses": [{"ip": "10.1.9.9"}], "ports": ports}]
        older = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
        await to_thread(apiserver.admin.create, older)
        async with serving(apiserver) as server, sidecar(server.address, namespace=namespace) as proxy:
            await until(proxy, lambda: places(proxy, cluster) == {("10.1.9.9", "")})
            await to_thread(apiserver.admin.create, endpoint_slice(namespace, "old", "10.1.9.8"))
            await until(proxy, lambda: places(proxy, cluster) == {("10.1.9.8", "")})

    asyncio.run(story())


def test_a_folder_says_more_than_the_cluster(apiserver, tmp_path):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        for name in ("reviews", "ratings"):
            await to_thread(apiserver.admin.create, service(namespace, name))
        route = (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
            f"metadata: {{namespace: {namespace}, name: reviews}}\n"
            "spec: {hosts: [reviews], http: [{route: [{destination: {host: ratings}}]}]}\n"
        )
        (tmp_path / "route.yaml").write_text(route)
        async with serving(apiserver, [tmp_path]) as server, sidecar(server.address, namespace=namespace) as proxy:
            await until(proxy, lambda: destinations(proxy, "reviews") == {"ratings"})
            (tmp_path / "route.yaml").unlink()
            await until(proxy, lambda: destinations(proxy, "reviews") == {"reviews"})

    asyncio.run(story())


def test_what_changes_nothing_that_anybody_is_served_is_not_pushed(apiserver):
    async def story():
        namespace = await to_thread(apiserver.namespace)
        await to_thread(apiserver.admin.create, service(namespace, "web"))
        made = await to_thread(apiserver.admin.create, pod(namespace, "web-1", app="web"))
        made = await to_thread(apiserver.admin.status, running(made, "10.1.2.4"))
        async with serving(apiserver) as server, sidecar(server.address, namespace=namespace) as proxy:
            await until(proxy, lambda: destinations(proxy, "web") == {"web"})
            pushes = sum(proxy.held[url].responses for url in proxy.held)
            for i in range(20):
                conditions = [*made["status"]["conditions"], {"type": "Noted", "status": "True", "reason": f"R{i}"}]
                await to_thread(apiserver.admin.status, made | {"status": made["status"] | {"conditions": conditions}})
            await to_thread(apiserver.admin.create, service(namespace, "last"))
            await until(proxy, lambda: destinations(proxy, "last"))
            # One cluster, its endpoints, and the routes and names of the Service that came last.
            assert sum(proxy.held[url].responses for url in proxy.held) - pushes <= 4
            await passed(lambda: scraped(server, "pilot_k8s_reg_events", type="Pods", event="updatesame") >= 20)

    asyncio.run(story())


def scraped(server, name, **labels):
    return server.instruments.metrics.registry.get_sample_value(name, labels) or 0


SERVE = "from pilotpy.cli import main; main()"


def serve(*arguments, environment=()):
    command = [sys.executable, "-c", SERVE, "serve", "--kubernetes", "--no-ca", *arguments]
    addresses = ["--grpc-address=127.0.0.1:0", "--http-address=", "--monitoring-address=", "--secure-grpc-address="]
    return subprocess.Popen(
        [*command, *addresses],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict(environment),
    )


@pytest.mark.parametrize("by", ["--kubeconfig", "KUBECONFIG"])
def test_the_command_serves_and_stops(apiserver, by):
    named = by.startswith("--")
    process = serve(
        *([f"{by}={apiserver.kubeconfig}"] if named else []),
        environment=() if named else {by: str(apiserver.kubeconfig)}.items(),
    )
    try:
        assert process.stdout.readline().startswith("serving ADS on ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_command_says_at_once_that_it_cannot_log_in(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("apiVersion: v1\nkind: Config\n")
    process = serve(f"--kubeconfig={empty}")
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "cannot log in" in error


def test_the_command_waits_for_a_server_that_is_not_there_and_can_be_stopped(apiserver):
    path = apiserver.kubeconfig.with_name("nobody.kubeconfig")
    path.write_text(apiserver.kubeconfig.read_text().replace(apiserver.url, "https://127.0.0.1:9"))
    process = serve(f"--kubeconfig={path}")
    try:
        assert "waiting for the API server" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout.read() == "", "it was never ready"
    finally:
        process.kill()
        process.communicate()
