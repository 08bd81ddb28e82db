"""What a lab's control plane makes of files and reports."""

import asyncio

from pilotpy.lab.news import News, Report
from pilotpy.lab.plane_program import LabFolder
from pilotpy.model.resource import Ref
from pilotpy.sources.rollout import PodState
from tests.agent.plane import asynchronous
from tests.lab.requests import app
from tests.waiting import until

POD = "server-v1"


def endpoints(batches):
    """Addresses of endpoints as the last change of a slice says, and whether they are ready."""
    found = [change.new for batch in batches for change in batch if change.ref.kind == "EndpointSlice"]
    return [(endpoint.addresses, endpoint.conditions.ready) for endpoint in found[-1].spec.endpoints] if found else []


async def gathered(folder, batches):
    async for batch in folder.watch():
        batches.append(batch)


@asynchronous
async def test_one_that_comes_back_knows_of_running_pods_from_the_first_batch_on(tmp_path):
    (tmp_path / "apps.yaml").write_text(app("server"))
    said: list[News] = []
    first: list = []
    watching = asyncio.create_task(gathered(LabFolder([tmp_path], (), said.append), first))
    await until(lambda: said)
    watching.cancel()
    (pod,) = said[-1].wanted

    batches: list = []
    again = LabFolder([tmp_path], [Report(pod.ref, PodState.READY)], said.append)
    watching = asyncio.create_task(gathered(again, batches))
    await until(lambda: batches)
    watching.cancel()
    assert endpoints(batches[:1]) == [((pod.spec.status.pod_ip,), True)]


@asynchronous
async def test_reports_and_files_come_as_one_stream_and_news_follow_what_is_wanted(tmp_path):
    file = tmp_path / "apps.yaml"
    file.write_text(app("server"))
    said: list[News] = []
    batches: list = []
    folder = LabFolder([tmp_path], (), said.append)
    watching = asyncio.create_task(gathered(folder, batches))
    await until(lambda: said)
    (pod,) = said[-1].wanted
    assert endpoints(batches) == []
    folder.take(Report(pod.ref, PodState.READY))
    await until(lambda: endpoints(batches))
    folder.take(Report(Ref("Pod", "default", "nobody-knows"), PodState.READY))
    file.write_text(app("server", replicas=2))
    await until(lambda: len(said[-1].wanted) == 2)
    assert [one.spec.cluster_ip for one in said[-1].services] != [""]
    file.unlink()
    await until(lambda: not said[-1].wanted)
    watching.cancel()


@asynchronous
async def test_a_folder_without_anything_is_news_too(tmp_path):
    said: list[News] = []
    watching = asyncio.create_task(gathered(LabFolder([tmp_path], (), said.append), []))
    await until(lambda: said)
    watching.cancel()
    assert said == [News()]
