"""`pilotpy lab demo --kubernetes`: the same showing at an API server, from nothing to nothing."""

import re
import subprocess
import sys

import pytest

from pilotpy.lab import commands
from tests.lab.conftest import lab, namespaces  # noqa: F401 - fixtures

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(180)]

DEMO = [sys.executable, "-m", "pilotpy", "lab", "demo", "--once", "--kubernetes"]


def test_the_demo_shows_at_an_api_server_what_it_shows_of_a_folder(lab, kube_assets):  # noqa: F811 - the fixture
    ran = subprocess.run(DEMO, cwd=lab.folder, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = " ".join(ran.stdout.split())
    assert re.search(r"5/95: \d+ ms from the write to the last Envoy's ACK \(.* 6 proxies\)", said)
    before, after = (float(share) for share in re.findall(r"  v2 .*?([\d.]+) %", ran.stdout))
    assert 4 < before < 16
    assert 90.6 < after < 99.4
    assert "failed" not in ran.stdout
    assert commands.status() is None
