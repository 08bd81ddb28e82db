"""What an agent answers over HTTP, asked over real sockets; Envoy and the application are small servers."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pilotpy.agent.app_probes import probes
from pilotpy.agent.drain import Farewell, connections, drained
from pilotpy.agent.envoy_admin import EnvoyAdmin
from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.agent.readiness import unready
from pilotpy.ops.http_server import answering
from tests.agent.plane import asynchronous, running
from tests.agent.pods import settings, short_folder

NETWORK = PodNetwork()
ENVOYS_METRICS = "# TYPE envoy_istio_requests_total counter\nenvoy_istio_requests_total 2\nenvoy_one 1\n"
GOOD = {
    "cluster_manager.cds.update_success": 1,
    "listener_manager.lds.update_success": 1,
    "listener_manager.workers_started": 1,
    "server.state": 0,
}


@pytest.mark.parametrize(
    ("counts", "lacking"),
    [
        pytest.param(GOOD, "", id="all is there"),
        pytest.param({}, "no clusters and no listeners received from the control plane", id="nothing"),
        pytest.param(
            GOOD | {"listener_manager.lds.update_success": 0},
            "no listeners received from the control plane",
            id="refused listeners",
        ),
        pytest.param(GOOD | {"listener_manager.workers_started": 0}, "workers have not started", id="workers"),
        pytest.param(GOOD | {"server.state": 2}, "server is not live, its state is 2", id="still starting"),
    ],
)
def test_readiness(counts, lacking):
    assert unready(counts) == lacking


class FakeEnvoy:
    """An admin port with behaviour: it counts, is ready, drains."""

    def __init__(self, **counts: int) -> None:
        self.counts = {**GOOD, **counts}
        self.posted: list[str] = []
        self.asked = asyncio.Semaphore(0)  # released for each look at the counts
        self.application = Starlette(
            routes=[
                Route("/stats", self._stats),
                Route(
                    "/stats/prometheus",
                    lambda _: PlainTextResponse(ENVOYS_METRICS),
                ),
                Route("/{rest:path}", self._post, methods=["POST"]),
            ]
        )

    def _stats(self, request) -> Response:
        self.asked.release()
        kept = re.compile(request.query_params["filter"])
        return PlainTextResponse("".join(f"{name}: {n}\n" for name, n in self.counts.items() if kept.search(name)))

    def _post(self, request) -> Response:
        self.posted.append(str(request.url.replace(scheme="", netloc="")))
        return PlainTextResponse("OK")


def application_of_the_pod() -> Starlette:
    return Starlette(
        routes=[
            Route("/metrics", lambda r: Response(b"app_one 1\n# EOF", media_type=r.headers["accept"].split(",")[0])),
            Route("/good", lambda r: PlainTextResponse(r.headers["host"])),
            Route("/moved", lambda _: RedirectResponse("/good")),
            Route("/away", lambda _: RedirectResponse("http://example.org/")),
            Route("/bad", lambda _: Response(status_code=500)),
            Route("/long", lambda _: Response(b"x" * (2 << 20))),
        ]
    )


@asynccontextmanager
async def served(application: Starlette):
    listener = NETWORK.listener("127.0.0.1", 0)
    async with answering(application, listener):
        yield listener.getsockname()[1]


async def get(port: int, path: str, method: str = "GET", **headers: str):
    async with asyncio.timeout(10):
        question = Question("127.0.0.1", port, path, method, tuple(headers.items()))
        return await asked(question, NETWORK, at_most=1 << 20)


@asynccontextmanager
async def agent_of(envoy: FakeEnvoy, **changes):
    with short_folder() as folder:
        async with (
            running(folder) as plane,
            served(envoy.application) as admin,
            PodAgent(settings(plane, folder, admin_port=admin, **changes)) as agent,
        ):
            yield agent


@asynchronous
async def test_it_is_ready_when_envoy_is_and_no_longer_while_it_drains():
    envoy = FakeEnvoy()
    async with agent_of(envoy, farewell=Farewell(until_idle=False)) as agent:
        assert (await get(agent.status_port, "/healthz/ready")).status == HTTPStatus.OK
        envoy.counts["listener_manager.lds.update_success"] = 0
        answer = await get(agent.status_port, "/healthz/ready")
        assert (answer.status, answer.body) == (503, b"no listeners received from the control plane")
        envoy.counts |= GOOD
        assert (await get(agent.status_port, "/drain", "POST")).status == HTTPStatus.OK
        assert (await get(agent.status_port, "/healthz/ready")).body == b"draining"


@asynchronous
async def test_metrics_of_agent_envoy_and_application_are_one_page_the_applications_last():
    async with served(application_of_the_pod()) as port:
        app = Question("127.0.0.1", port, "/metrics")
        async with agent_of(FakeEnvoy(), application=app) as agent:
            openmetrics = "application/openmetrics-text;version=1.0.0"
            page = await get(agent.status_port, "/stats/prometheus", accept=openmetrics)
            lines = page.body.decode().splitlines()
            assert "istio_agent_xds_connected 0.0" in lines
            envoys = ["# TYPE istio_requests_total counter", "istio_requests_total 2", "envoy_one 1"]
            assert lines[-5:] == [*envoys, "app_one 1", "# EOF"]
            assert page.header("content-type").startswith("application/openmetrics-text")


@asynchronous
async def test_an_application_without_metrics_does_not_cost_the_others():
    async with agent_of(FakeEnvoy(), application=Question("127.0.0.1", 1, "/metrics")) as agent:
        page = await get(agent.status_port, "/metrics")
        assert page.status == HTTPStatus.OK
        assert page.body.endswith(b"envoy_one 1\n")


@pytest.mark.parametrize(
    ("get_", "status"),
    [
        pytest.param({"path": "/good"}, 200, id="a good answer"),
        pytest.param({"path": "/bad"}, 500, id="a bad answer"),
        pytest.param({"path": "/moved"}, 200, id="a redirection within the application is followed"),
        pytest.param({"path": "/away"}, 307, id="a redirection to elsewhere is not followed"),
        pytest.param({"path": "/long"}, 500, id="an endless answer"),
        pytest.param({"path": "/good", "port": 1}, 500, id="a closed port"),
        pytest.param({"path": "/good", "scheme": "HTTPS"}, 500, id="TLS that is not there"),
    ],
)
@asynchronous
async def test_checks_over_http(get_, status):
    async with served(application_of_the_pod()) as port:
        table = {"/app-health/web/readyz": {"httpGet": {"port": port, **get_}}}
        async with agent_of(FakeEnvoy(), probes=probes(msgspec.json.encode(table).decode())) as agent:
            assert (await get(agent.status_port, "/app-health/web/readyz")).status == status
            assert (await get(agent.status_port, "/app-health/other/readyz")).status == HTTPStatus.NOT_FOUND


@asynchronous
async def test_checks_of_a_port():
    async with served(application_of_the_pod()) as port:
        table = {
            "/app-health/a/livez": {"tcpSocket": {"port": port}},
            "/app-health/b/livez": {"tcpSocket": {"port": 1}},
        }
        async with agent_of(FakeEnvoy(), probes=probes(msgspec.json.encode(table).decode())) as agent:
            assert (await get(agent.status_port, "/app-health/a/livez")).status == HTTPStatus.OK
            assert (await get(agent.status_port, "/app-health/b/livez")).status == HTTPStatus.INTERNAL_SERVER_ERROR


@asynchronous
async def test_a_check_keeps_the_host_that_the_pod_wants():
    async with served(application_of_the_pod()) as port:
        answer = await get(port, "/good", host="web.example.com")
        assert answer.body == b"web.example.com"


@asynchronous
async def test_the_end_can_be_asked_for_from_inside_the_pod():
    async with agent_of(FakeEnvoy()) as agent:
        assert (await get(agent.status_port, "/quitquitquit")).status == HTTPStatus.METHOD_NOT_ALLOWED
        assert (await get(agent.status_port, "/quitquitquit", "POST")).status == HTTPStatus.OK
        assert agent.ending.is_set()


@asynchronous
async def test_a_drain_fails_health_checks_and_gives_connections_time():
    envoy = FakeEnvoy()
    async with served(envoy.application) as port:
        begun = asyncio.get_running_loop().time()
        await drained(EnvoyAdmin(NETWORK, port=port), Farewell(duration=timedelta(seconds=0.3)))
        assert asyncio.get_running_loop().time() - begun >= 0.3
        assert [path.lstrip("/") for path in envoy.posted] == ["healthcheck/fail", "drain_listeners?graceful"]


@asynchronous
async def test_a_drain_can_wait_until_nobody_is_connected():
    busy = "listener.0.0.0.0_15006.downstream_cx_active"
    envoy = FakeEnvoy(
        **{busy: 2, "listener.0.0.0.0_15021.downstream_cx_active": 1, "listener.admin.downstream_cx_active": 1},
        **{"listener.0.0.0.0_15006.worker_0.downstream_cx_active": 2},
    )
    async with served(envoy.application) as port:
        admin = EnvoyAdmin(NETWORK, port=port)
        assert await connections(admin) == 2
        waiting = asyncio.create_task(
            drained(admin, Farewell(until_idle=True, at_least=timedelta(seconds=0.1)), stays=True)
        )
        async with asyncio.timeout(10):
            for _ in range(3):  # the one above, one that found somebody, and so one more
                await envoy.asked.acquire()
        assert not waiting.done()
        envoy.counts[busy] = 0
        await asyncio.wait_for(waiting, 5)
        assert envoy.posted[-1].endswith("drain_listeners?graceful&skip_exit")


@asynchronous
async def test_an_envoy_that_is_gone_is_not_waited_for():
    async with asyncio.timeout(3):
        await drained(EnvoyAdmin(NETWORK, port=1), Farewell())
