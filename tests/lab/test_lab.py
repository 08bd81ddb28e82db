"""A lab from up to down, with real Envoys, on two small applications."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from pilotpy.lab import commands
from tests.lab.conftest import processes
from tests.lab.requests import app
from tests.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def running(lab):
    lab.write("apps.yaml", app("client") + app("server"))
    return lab.up("server:80")


def test_a_request_goes_through_both_envoys(running):
    said = running.curl("client-v1", "http://server/hello")
    assert said["pod"].startswith("server-v1-")
    assert said["path"] == "/hello"
    assert said["headers"]["x-envoy-attempt-count"] == "1"
    assert said["from"].startswith("127.0.0.6:")


def test_under_tproxy_the_application_sees_its_clients_address(running):
    if running.state.own_user:
        pytest.skip("Envoy has no user of its own here")
    running.write("open.yaml", app("open", annotations={"sidecar.istio.io/interceptionMode": "TPROXY"}))
    eventually(lambda: any(pod.name.startswith("open-") for pod in commands.status().pods))
    eventually(lambda: commands.status().settled)
    client = commands.pod_named(commands.status(), "client-v1")
    server = commands.pod_named(commands.status(), "open-v1")
    assert running.curl("client-v1", "http://open/")["from"].startswith(f"{client.address}:")
    assert running.curl("open-v1", "http://open/")["from"].startswith(f"{server.address}:")
    (running.folder / "open.yaml").unlink()


def test_names_resolve_in_all_their_forms(running):
    for name in ("server", "server.default", "server.default.svc", "server.default.svc.cluster.local"):
        assert running.curl("client-v1", f"http://{name}/")["version"] == "v1"


def test_a_name_that_is_not_there_fails_at_once(running):
    begun = time.monotonic()
    assert running.run("client-v1", "curl", "-sS", "http://nowhere.example/", check=False) == ""
    assert time.monotonic() - begun < 3


def test_the_machine_reaches_a_published_service(running):
    with urllib.request.urlopen(running.state.urls["server.default"], timeout=10) as answer:
        assert b'"version": "v1"' in answer.read()


def test_envoy_runs_as_its_own_user_or_in_a_user_namespace(running):
    listing = running.run("server-v1", "ps", "-ewwo", "uid,args")
    envoys = [line.split()[0] for line in listing.splitlines() if "--config-yaml" in line]
    assert set(envoys) == ({"0"} if running.state.own_user else {"1337"})


def test_the_pod_of_a_job_runs_once_and_is_gone_at_its_end(running):
    runs = running.folder / "runs"
    annotations = {"lab.pilotpy.dev/command": f"sh -c 'echo once >> {runs}'", "sidecar.istio.io/inject": "false"}
    running.write(
        "job.yaml",
        f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: once}}
spec:
  template:
    metadata: {{annotations: {json.dumps(annotations)}}}
    spec: {{restartPolicy: Never, containers: [{{name: app, image: none}}]}}
""",
    )
    eventually(runs.exists)
    eventually(lambda: not [pod for pod in commands.status().pods if pod.name.startswith("once-")])
    running.write("after.yaml", app("after"))  # what was to be begun anew would have been by now
    eventually(lambda: any(pod.name.startswith("after-") and pod.state == "ready" for pod in commands.status().pods))
    assert runs.read_text() == "once\n"
    for name in ("job.yaml", "after.yaml"):
        (running.folder / name).unlink()


def test_pods_come_and_go_with_the_folder(running):
    running.write("more.yaml", app("extra", replicas=2))
    eventually(lambda: len([pod for pod in commands.status().pods if pod.name.startswith("extra-")]) == 2)
    eventually(lambda: commands.status().settled)
    assert running.curl("client-v1", "http://extra/")["pod"].startswith("extra-v1-")
    (running.folder / "more.yaml").unlink()
    eventually(lambda: not [pod for pod in commands.status().pods if pod.name.startswith("extra-")])
    assert running.curl("client-v1", "http://server/")["version"] == "v1"


def test_a_new_service_reaches_running_pods_on_a_port_of_its_own(running):
    before = {pod.name for pod in commands.status().pods}
    other = app("server").split("---")[1].replace("name: server", "name: other").replace("8080", "8081")
    running.write("other.yaml", other)
    eventually(lambda: "server-v1" in running.run("client-v1", "curl", "-sS", "http://other/", check=False))
    assert {pod.name for pod in commands.status().pods} == before
    (running.folder / "other.yaml").unlink()


def test_a_program_that_cannot_run_is_told(running):
    broken = app("broken", annotations={"lab.pilotpy.dev/command": "nonsense"}).split("---")[0]
    running.write("broken.yaml", broken)
    log = running.home / "pilotpy" / "lab.log"
    # 127: there is none; 126: there may be one, in a folder of PATH that this user may not look into.
    eventually(lambda: re.search("app ended with status 12[67]", log.read_text()))
    (running.folder / "broken.yaml").unlink()
    eventually(lambda: commands.status().settled)


def test_what_is_wrong_is_told_where_the_lab_runs_as_soon_as_it_is_written(running):
    log = running.home / "pilotpy" / "lab.log"
    running.write("torn.yaml", "kind: [")
    eventually(lambda: re.search(r"Error \[PP0001\] \(.*torn\.yaml:2\)", log.read_text()))
    (running.folder / "torn.yaml").unlink()
    rule = {"hosts": ["server"], "http": [{"route": [{"destination": {"host": "server", "subset": "none"}}]}]}
    meta = {"name": "lost", "namespace": "default"}
    lost = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": rule}
    running.write("lost.yaml", json.dumps(lost))
    told = re.compile(r"Error \[IST0101\] \(VirtualService default/lost\) \(.*lost\.yaml:1\)")
    eventually(lambda: told.search(log.read_text()))
    (running.folder / "lost.yaml").unlink()


def test_an_application_that_dies_is_started_again(running):
    listing = running.run("server-v1", "ps", "-ewwo", "pid,args")
    echo, *_ = [line.split()[0] for line in listing.splitlines() if '"server-v1' in line and "echo.py" in line]
    running.run("server-v1", "kill", "-9", echo)
    eventually(lambda: not commands.status().settled)
    eventually(lambda: commands.status().settled)
    assert running.curl("client-v1", "http://server/")["version"] == "v1"


def test_a_second_lab_is_refused(running):
    with pytest.raises(Exception, match="lab is running already"):
        commands.up_detached([running.folder])


def test_down_leaves_nothing(running):
    own = Path(f"/proc/{running.state.pid}/ns/pid").readlink().name
    assert len(processes()[own]) > 4
    assert commands.down()
    assert own not in processes()
    assert commands.status() is None
    assert {file.name for file in (running.home / "pilotpy").iterdir()} <= {
        "lock",
        "lab.log",
        "agents.log",
        "control-plane.log",
    }
    assert not commands.down()


@pytest.mark.parametrize("victim", ["the lab", "its parent"])
def test_a_killed_lab_leaves_nothing(lab, victim):
    lab.write("apps.yaml", app("client") + app("server"))
    lab.up()
    own = Path(f"/proc/{lab.state.pid}/ns/pid").readlink().name
    parent = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{lab.state.pid}/status").read_text())[1])
    os.kill(lab.state.pid if victim == "the lab" else parent, signal.SIGKILL)
    eventually(lambda: own not in processes(), patience=5)
    eventually(lambda: commands.status() is None, patience=5)


def test_ctrl_c_leaves_nothing(lab):
    lab.write("apps.yaml", app("client"))
    up = "from pathlib import Path; from pilotpy.lab import commands; commands.up([Path('.')])"
    with subprocess.Popen(
        [sys.executable, "-c", up], cwd=lab.folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        try:
            eventually(lambda: (found := commands.status()) is not None and found.settled)
            own = Path(f"/proc/{commands.status().pid}/ns/pid").readlink().name
            os.killpg(shell.pid, signal.SIGINT)
            said, _ = shell.communicate(timeout=20)
        finally:
            shell.kill()
    assert "the lab is down" in said
    assert own not in processes()


def test_folders_that_are_not_there_are_told(lab):
    with pytest.raises(FileNotFoundError, match="there is no"):
        commands.up_detached([lab.folder / "missing"], patience=timedelta(seconds=1))


def test_a_folder_without_pods_is_a_lab_all_the_same(lab):
    for file in lab.folder.iterdir():
        file.unlink()
    assert lab.up().state.pods == ()
    assert commands.down()
