"""The demo, as somebody sees it who runs it for the first time."""

import re
import subprocess
import sys

import pytest

from pilotpy.lab import commands

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def shown(lab):
    command = [sys.executable, "-c", "from pilotpy.lab.demo import run; run(once=True)"]
    ran = subprocess.run(command, cwd=lab.folder, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def share(text, version):
    return float(re.search(rf"  {version} .*?([\d.]+) %", text)[1])


def test_the_split_is_that_of_the_file_and_follows_its_edit(shown):
    before, after = shown.split("Edited the weights")
    # Four standard deviations of 400 requests.
    assert 4 < share(before, "v2") < 16
    assert 90.6 < share(after, "v2") < 99.4


def test_no_request_fails(shown):
    assert "failed" not in shown


def test_the_edit_is_timed_to_the_last_ack(shown):
    text = " ".join(shown.split())
    assert re.search(r"5/95: \d+ ms from the write to the last Envoy's ACK \(.* 6 proxies\)", text)


def test_the_first_answer_comes_soon_and_the_page_has_a_url(shown):
    assert re.search(r"6 pods with an Envoy each; first answer [\d.]+ s after the start", shown)
    assert re.search(r"http://127\.0\.0\.1:\d+/productpage", shown)


def test_nothing_is_left(shown):
    assert "the mesh is down" in shown
    assert commands.status() is None
