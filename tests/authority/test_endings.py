"""An authority that is about to end is told of."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pilotpy.authority.endings import ending_findings
from pilotpy.authority.keeping import Keys
from pilotpy.follow import following
from pilotpy.model.resource import Severity
from pilotpy.sources.folder import Folder
from pilotpy_ca.plugged_in import PluggedInFolder
from tests.authority.plane import SETTINGS, TERMS
from tests.ca.scenery import DAY, below, cacerts, keeper, root, written
from tests.waiting import until


@pytest.mark.parametrize(
    ("left", "severity"),
    [
        pytest.param(31 * DAY, None, id="more than a month"),
        pytest.param(29 * DAY, Severity.WARNING, id="less than a month"),
        pytest.param(-DAY, Severity.ERROR, id="ended"),
    ],
)
def test_a_signer_of_somebody_elses_within_a_month_of_its_end(tmp_path, left, severity):
    begins = datetime(2026, 3, 1, tzinfo=UTC)
    folder = written(tmp_path, cacerts(below(root(begins), begins, life=90 * DAY)))
    found = ending_findings(keeper(now=begins, plugged_in=PluggedInFolder(folder)), begins + 90 * DAY - left)
    assert [(one.code, one.severity, one.file) for one in found] == (
        [("PP0602", severity, str(folder))] if severity else []
    )
    assert all("put files" in one.hint for one in found)


def test_a_root_that_renews_itself_is_told_of_once_it_should_have():
    kept = keeper()
    ends = kept.authority.slots.active.signer.ends
    assert not ending_findings(kept, ends - 31 * DAY)
    assert [one.severity for one in ending_findings(kept, ends - 29 * DAY)] == [Severity.WARNING]


def test_a_control_plane_says_it(tmp_path, caplog):
    now = datetime.now(UTC)
    folder = written(tmp_path / "cacerts", cacerts(below(root(now), now, life=timedelta(days=20))))
    (tmp_path / "mesh").mkdir()

    async def play() -> None:
        keys = Keys(tmp_path / "ca", TERMS, folder)
        async with following(Folder([tmp_path / "mesh"]), SETTINGS, keys):
            await until(told)

    def told() -> list[str]:
        found = [record for record in caplog.records if record.name == "pilotpy.findings"]
        return [record.fields_of_record["code"] for record in found]

    asyncio.run(play())
    assert told() == ["PP0602"]
