"""What is wrong is told once while it lasts, whether a file says it or a compile."""

from __future__ import annotations

import asyncio
import logging

from pilotpy.follow import following
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.ops.logs import fields
from pilotpy.ops.metrics import Metrics
from pilotpy.ops.settings import Settings
from pilotpy.sources.folder import Folder
from pilotpy.tell import Teller
from pilotpy.xds.publication import Node
from pilotpy.xds.resource_type import LISTENER
from tests.asynchronous import asynchronous

NOWHERE = Settings(grpc_address="127.0.0.1:0", http_address="", monitoring_address="")
WARNING = Finding(code="PP0001", severity=Severity.WARNING, message="a doubt")
ERROR = Finding(code="PP0002", severity=Severity.ERROR, message="a mistake")


def counted(metrics):
    return {one.value: metrics.registry.get_sample_value("pilotpy_findings", {"level": one.value}) for one in Severity}


def test_a_finding_is_told_once_while_it_lasts(caplog):
    metrics = Metrics()
    teller = Teller(metrics)
    teller.tell("source", [WARNING])
    teller.tell("source", [WARNING, ERROR])
    teller.tell("compile", [WARNING])
    assert [record.message for record in caplog.records] == ["a doubt", "a mistake"]
    assert counted(metrics) == {"Error": 1, "Warning": 1, "Info": 0}
    teller.tell("source", [])
    teller.tell("compile", [])
    assert counted(metrics) == {"Error": 0, "Warning": 0, "Info": 0}
    teller.tell("source", [WARNING])
    assert [record.message for record in caplog.records][2:] == ["a doubt"]


def test_what_is_the_same_of_many_objects_is_told_once_and_counted_each(caplog):
    metrics = Metrics()
    routes = [Ref("HTTPRoute", "shop", f"r{number}") for number in range(200)]
    alike = [Finding(code="PP0008", severity=Severity.WARNING, message="no effect", ref=ref) for ref in routes]
    Teller(metrics).tell("source", alike)
    (record,) = caplog.records
    assert record.fields_of_record["others"] == 199
    assert counted(metrics)["Warning"] == 200


MESH = "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: '['\n"


class Heard(logging.Handler):
    """Knows the codes of what was logged; a reader can wait for one."""

    def __init__(self):
        super().__init__()
        self.codes = asyncio.Queue()

    def emit(self, record):
        self.codes.put_nowait(getattr(record, next(iter(fields())), {}).get("code"))


@asynchronous
async def test_what_compiling_notes_reaches_the_log(tmp_path):
    (tmp_path / "mesh").write_text(MESH)
    log, heard = logging.getLogger("pilotpy.findings"), Heard()
    log.addHandler(heard)
    try:
        async with following(Folder([], mesh_config=tmp_path / "mesh"), NOWHERE) as served:
            node = Node("sidecar~10.0.0.1~a.default~default.svc.cluster.local", {})
            seat = served.compiler.connect("a", node, lambda: None)
            seat.want(LISTENER.url)
            async with asyncio.timeout(10):
                assert await heard.codes.get() == "PP0201"
            assert counted(served.instruments.metrics)["Error"] == 1
    finally:
        log.removeHandler(heard)


def test_a_page_tells_all_that_is_wrong_now(tmp_path):
    (tmp_path / "mesh.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\n"
    )

    async def findings():
        async with following(Folder([tmp_path]), NOWHERE) as server:
            return await server.pages.findings()

    found = asyncio.run(findings())
    assert found
    assert {finding.ref for finding in found} == {Ref("VirtualService", "default", "x")}
