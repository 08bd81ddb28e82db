"""Real requests through real Envoys while the mesh changes under them."""

import json
import math
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pilotpy.lab import commands
from tests.lab.test_lab import app

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]

LOAD = Path(__file__).with_name("load.py")
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
  - route:
    - {{destination: {{host: server, subset: v1}}, weight: {first}}}
    - {{destination: {{host: server, subset: v2}}, weight: {second}}}
"""


@pytest.fixture(scope="module")
def running(lab):
    lab.write("apps.yaml", app("client") + app("server", "v1") + app("server", "v2"))
    lab.write("subsets.yaml", SUBSETS)
    lab.write("route.yaml", split(50, 50))
    return lab.up()


@contextmanager
def load(lab, seconds, url="http://server/"):
    """Requests in the background. What came of them is in the dict that this gives, afterwards."""
    command = commands.command_in("client-v1", [sys.executable, str(LOAD), url, str(seconds)])
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    result = {}
    try:
        yield result
        said, _ = running.communicate(timeout=seconds + 30)
        result.update(json.loads(said))
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def assert_share(counts, version, share):
    """Within four standard deviations of what was asked for."""
    total = sum(counts.values())
    assert total > 300
    allowed = 4 * math.sqrt(total * share * (1 - share))
    assert abs(counts.get(version, 0) - total * share) <= allowed, counts


@pytest.mark.parametrize(("first", "second"), [(90, 10), (5, 95), (100, 0)])
def test_a_split_is_as_written(running, first, second):
    running.write("route.yaml", split(first, second))
    time.sleep(0.5)  # the split "follows within a second": what is measured begins after half of one
    with load(running, 4) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"], "v2", second / 100)


def test_routes_edited_under_load_drop_no_request(running):
    with load(running, 30) as result:
        until = time.monotonic() + 28
        turn = 0
        while time.monotonic() < until:
            turn += 1
            running.write("route.yaml", split(50 + turn % 50, 50 - turn % 50))
            time.sleep(0.3)
    assert turn > 50
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 3000


def test_a_rolling_update_under_load_drops_no_request(running):
    running.write("route.yaml", split(50, 50))
    with load(running, 15) as result:
        time.sleep(1)
        deployed = app("client") + app("server", "v1", replicas=2) + app("server", "v2")
        for image in ("one", "two"):
            before = {pod.name for pod in commands.status().pods if pod.name.startswith("server-")}
            running.write("apps.yaml", deployed.replace("example/server", f"example/{image}"))
            until = time.monotonic() + 20
            while not _replaced(before):
                assert time.monotonic() < until, "the update did not come to its end"
                time.sleep(0.05)
    assert result["failures"] == []
    assert sum(result["counts"].values()) > 1000


def _replaced(before):
    lab = commands.status()
    now = {pod.name for pod in lab.pods if pod.name.startswith("server-")}
    return lab.settled and len(now) == 3 and not now & before
