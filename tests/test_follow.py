"""A control plane that follows sources which fail, and says so."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from pilotpy.engine import Engine, query
from pilotpy.follow import following, submit
from pilotpy.mesh.endpoints import endpoints
from pilotpy.mesh.services import holder, service
from pilotpy.mesh.views import view
from pilotpy.ops.endless import endless
from pilotpy.ops.instruments import instruments
from pilotpy.ops.settings import Settings
from pilotpy.sources.change import Change
from pilotpy.sources.folder import Folder
from pilotpy.xds.compiler import Answers, LocalCompiler
from tests.authority.plane import SETTINGS, SHOP
from tests.mesh.world import endpoint_slice, key, kube_service
from tests.waiting import until

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop}
spec: {ports: [{port: 80}]}
---
"""


class Failing(Folder):
    """Says what is there, and then fails as nobody thought of, so many times."""

    failures = 1

    async def watch(self):
        async for changes in super().watch():
            yield changes
            if self.failures:
                self.failures -= 1
                raise ZeroDivisionError


@pytest.fixture
def critical(caplog):
    caplog.set_level(logging.CRITICAL)
    return lambda: [record for record in caplog.records if record.levelno == logging.CRITICAL]


def test_a_source_that_failed_as_nobody_foresaw_is_followed_again_and_that_is_told(tmp_path, critical):
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)

    async def play():
        async with following(Failing([tmp_path]), SETTINGS) as server:
            await until(critical)
            file.write_text(SHOP + SERVICE % "late")
            await until(lambda: server.compiler.engine.ask(holder, "late.shop.svc.cluster.local"))

    asyncio.run(play())
    (record,) = critical()
    assert record.exc_info[0] is ZeroDivisionError


def test_a_change_that_we_stumble_over_costs_the_others_nothing(tmp_path, critical, monkeypatch):
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    taken = []

    def stumbling(self, puts, names, *, endpoints=False):
        del endpoints
        if any("bad" in name for name in names):
            raise ZeroDivisionError
        taken.extend(names)

    async def play():
        async with following(Folder([tmp_path]), SETTINGS):
            monkeypatch.setattr(LocalCompiler, "submit", stumbling)
            file.write_text(SHOP + SERVICE % "bad" + SERVICE % "good")
            await until(lambda: any("good" in name for name in taken))

    asyncio.run(play())
    assert not any("bad" in name for name in taken)
    assert critical()


WEB = key("shop", "web")


def said(*objects):
    return [Change(one.ref, "", None, one) for one in objects]


@query
def port_and_places(q):
    found = q(service, WEB)
    return found and (found.ports[0].number, [one.address for one in q(endpoints, WEB, "http")])


@asynccontextmanager
async def compiled(window):
    """A compiler that runs, whose endpoints wait so long, and all that it ever answered."""
    settings = Settings(endpoint_window=window, debounce_after=timedelta(milliseconds=100))
    compiler, answers = LocalCompiler(Engine(), Answers(view, {}), settings, instruments()), []
    compiler.act_on(port_and_places, answers.append)
    compiling = asyncio.create_task(compiler.run())
    try:
        yield compiler, answers
    finally:
        compiling.cancel()
        await asyncio.gather(compiling, return_exceptions=True)


def test_where_workloads_are_is_never_told_in_another_order_than_it_was_said():
    async def play():
        async with compiled(timedelta(milliseconds=10)) as (compiler, answers):
            submit(compiler, said(kube_service("shop", "web"), endpoint_slice("shop", "web", "10.1.0.1")))
            submit(compiler, said(endpoint_slice("shop", "web", "10.1.0.2")))
            await until(lambda: answers[-1])
            return answers[-1]

    assert asyncio.run(play()) == (80, ["10.1.0.2"])


def test_what_came_together_is_compiled_together():
    async def play():
        async with compiled(timedelta(seconds=10)) as (compiler, answers):
            for port, place in ((80, "10.1.0.1"), (81, "10.1.0.2")):
                changed = (kube_service("shop", "web", port=port), endpoint_slice("shop", "web", place))
                submit(compiler, said(*changed))
                await until(lambda port=port: answers[-1] and answers[-1][0] == port)
            return answers

    assert asyncio.run(play()) == [None, (80, ["10.1.0.1"]), (81, ["10.1.0.2"])]


def test_work_is_begun_again_later_each_time_it_fails_at_once(critical):
    began = []

    async def work():
        began.append(asyncio.get_running_loop().time())
        raise ZeroDivisionError

    async def play():
        task = asyncio.create_task(endless("it", work, timedelta(milliseconds=10)))
        await until(lambda: len(began) == 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())
    gaps = [later - one for one, later in pairwise(began)]
    assert gaps == sorted(gaps)
    assert [record.fields_of_record["again_in"] for record in critical()][:4] == [0.01, 0.02, 0.04, 0.08]
