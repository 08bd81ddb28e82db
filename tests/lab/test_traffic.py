"""Real requests through real Envoys while the mesh changes under them."""

import time

import pytest

from pilotpy.lab import commands
from tests.lab.requests import app, assert_share, load
from tests.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]

SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server}
spec:
  host: server
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---"""


def split(first, second):
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: server}}
spec:
  hosts: [server]
  http:
  - headers: {{request: {{set: {{x-split: {first}-{second}}}}}}}
    route:
    - {{destination: {{host: server, subset: v1}}, weight: {first}}}
    - {{destination: {{host: server, subset: v2}}, weight: {second}}}
"""


def written(running, first, second):
    """Write a split, and see a request that follows it within a second."""
    running.write("route.yaml", split(first, second))
    eventually(lambda: running.curl("client-v1", "http://server/")["headers"].get("x-split") == f"{first}-{second}", 1)


@pytest.fixture(scope="module")
def running(lab):
    lab.write("apps.yaml", app("client") + app("server", "v1") + app("server", "v2"))
    lab.write("subsets.yaml", SUBSETS)
    lab.write("route.yaml", split(50, 50))
    return lab.up()


@pytest.mark.parametrize(("first", "second"), [(90, 10), (5, 95), (100, 0)])
def test_a_split_is_as_written(running, first, second):
    written(running, first, second)
    with load("client-v1", "http://server/", 4) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"].get("v2", 0), sum(result["counts"].values()), second / 100)


def test_routes_edited_under_load_drop_no_request(running):
    with load("client-v1", "http://server/", 15) as result:
        until = time.monotonic() + 14
        turn = 0
        while time.monotonic() < until:
            turn += 1
            written(running, 50 + turn % 50, 50 - turn % 50)
    assert turn > 25
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 1500


def test_a_rolling_update_under_load_drops_no_request(running):
    running.write("route.yaml", split(50, 50))
    with load("client-v1", "http://server/", 15) as result:
        deployed = app("client") + app("server", "v1", replicas=2) + app("server", "v2")
        for image in ("one", "two"):
            before = {pod.name for pod in commands.status().pods if pod.name.startswith("server-")}
            running.write("apps.yaml", deployed.replace("example/server", f"example/{image}"))
            eventually(lambda before=before: _replaced(before))
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 1000


def _replaced(before):
    lab = commands.status()
    now = {pod.name for pod in lab.pods if pod.name.startswith("server-")}
    return lab.settled and len(now) == 3 and not now & before
