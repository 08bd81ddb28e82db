"""The cases that the project's founders brought: each behaves as its author expects, through real Envoys."""

import json
import time
from pathlib import Path

import pytest

from tests.lab.requests import app, assert_share, load

CASES = Path(__file__).parents[3] / "shared" / "cases"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.envoy,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here"),
]


def case(name):
    return (CASES / name).read_text()


@pytest.fixture(scope="module")
def running(lab):
    there = "yanxuan"
    lab.write(
        "apps.yaml",
        app("client")
        # Of ten endpoints Envoy ejects one at a time: at most 10 %, unless a DestinationRule says otherwise.
        + app("payment-service", "v1", replicas=10)
        + app("payment-service", "v2")
        + app("notification-service")
        + app("caller", namespace=there)
        + app("msb-job-admin-v1", "v1", namespace=there)
        + app("msb-job-admin-v2", "v2", namespace=there)
        + app("msb-job-admin-all", "none", replicas=0, namespace=there),
    )
    for name in ("canary-subsets.yaml", "fault.yaml", "deployment.yaml"):
        lab.write(name, case(name))
    lab.write("svc-all.yaml", case("canary-two-services.yaml"))
    return lab.up()


ALL = "http://msb-job-admin-all/"


def test_canary_over_two_services_follows_its_weights(running):
    with load("caller-v1", ALL, 5) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"]["v2"], sum(result["counts"].values()), 0.5)

    edited = case("canary-two-services.yaml").replace("weight: 50", "weight: 5", 1).replace("weight: 50", "weight: 95")
    with load("caller-v1", ALL, 3) as during:
        running.write("svc-all.yaml", edited)
    assert during["failures"] == []
    with load("caller-v1", ALL, 5) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"]["v2"], sum(result["counts"].values()), 0.95)


def test_a_header_chooses_the_version(running):
    running.write("svc-all.yaml", case("header-route.yaml"))
    until = time.monotonic() + 1  # "within a second"
    while running.curl("caller-v1", ALL)["version"] != "v1" and time.monotonic() < until:
        pass
    chosen = [running.curl("caller-v1", "-H", "user: qxh", ALL)["version"] for _ in range(20)]
    others = [running.curl("caller-v1", "-H", "user: other", ALL)["version"] for _ in range(20)]
    assert (set(chosen), set(others)) == ({"v2"}, {"v1"})


def test_faults_delay_and_abort_their_share(running):
    with load("client-v1", "http://notification-service/", 15) as result:
        pass
    total = sum(result["counts"].values()) + len(result["failures"])
    assert all(failure.startswith("503 fault filter abort") for failure in result["failures"])
    assert_share(len(result["failures"]), total, 0.05)
    assert_share(result["slow"], total, 0.20)


def test_a_deployment_is_reached_through_its_service(running):
    said = running.curl("client-v1", "http://devpipeline-saas-back-profile-a:8080/api/v1/Status/Version")
    assert said["labels"]["profile"] == "profile-a"
    assert said["path"] == "/api/v1/Status/Version"


def test_canary_over_subsets_follows_its_weights(running):
    with load("client-v1", "http://payment-service/", 6) as result:
        pass
    assert result["failures"] == []
    assert_share(result["counts"]["v2"], sum(result["counts"].values()), 0.10)


def test_a_slow_answer_is_given_up_after_five_seconds(running):
    timing = ("-o", "/dev/null", "-w", "%{http_code} %{time_total}")
    said = running.run("client-v1", "curl", "-sS", *timing, "http://payment-service/?delay=9")
    status, seconds = said.split()
    assert status == "504"
    assert 4.9 < float(seconds) < 6


# The last one: it ejects endpoints for half a minute.
def test_errors_are_tried_again_and_eject_their_endpoint(running):
    answer = running.run("client-v1", "curl", "-sS", "http://payment-service/?status=503")
    assert json.loads(answer)["headers"]["x-envoy-attempt-count"] == "4"
    statistics = ""
    for _ in range(60):
        running.run("client-v1", "curl", "-sS", "http://payment-service/?status=503")
        statistics = running.run("client-v1", "curl", "-sS", "http://127.0.0.1:15000/stats?filter=v1.*ejections_active")
        if statistics.strip().endswith(": 1"):
            return
    pytest.fail(statistics)
