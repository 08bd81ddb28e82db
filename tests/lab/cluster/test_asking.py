"""What somebody is told who asks for a lab at an API server that cannot be had. Nothing is started for it."""

import pytest
from typer.testing import CliRunner

from pilotpy.cli import app
from pilotpy.lab import commands

LONE = "about the cluster of --kubernetes"


@pytest.fixture(autouse=True)
def nobody_is_started(monkeypatch, tmp_path):
    def no(*_, **__):
        raise AssertionError("it was started")

    for name in ("execvp", "execv"):
        monkeypatch.setattr(f"os.{name}", no)
    for name in ("KUBECONFIG", "HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(commands.subprocess, "run", no)
    monkeypatch.setattr(commands.entry, "way_in", lambda: ())
    monkeypatch.setattr(commands, "envoy_program", lambda: 0)


def told(*arguments):
    ran = CliRunner().invoke(app, ["lab", *arguments])
    assert isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["up"], 2, "-f PATH", id="neither files nor an API server"),
        pytest.param(["up", "-f", ".", "--yes"], 2, LONE, id="a vow about no cluster"),
        pytest.param(["up", "-f", ".", "--context", "a"], 2, LONE, id="a context of no cluster"),
        pytest.param(["up", "--kubernetes", "--api-server"], 2, "leave out", id="two API servers"),
        pytest.param(["up", "--kubernetes", "--kubeconfig", "none"], 2, "no such file", id="a file that is not there"),
        pytest.param(["up", "--kubernetes"], 1, "log in", id="a cluster that nobody can log in to"),
    ],
)
def test_it_is_said_what_is_wrong(arguments, code, words):
    exit_code, output = told(*arguments)
    assert exit_code == code
    assert words in output


@pytest.mark.parametrize("arguments", [["up", "--api-server"], ["demo", "--kubernetes"]], ids=" ".join)
def test_without_its_programs_it_is_said_how_to_get_them(arguments, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    code, output = told(*arguments)
    assert code == 1
    assert "make kube-assets" in output


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        pytest.param("server: https://127.0.0.1:1, proxy-url: 'http://proxy:1'", "proxy", id="through a proxy"),
        pytest.param("server: 'nowhere'", "names no server", id="at no address"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_refused(cluster, words, tmp_path):
    file = tmp_path / "kubeconfig"
    users, contexts = "[{name: u, user: {}}]", "[{name: c, context: {cluster: c, user: u}}]"
    clusters = f"[{{name: c, cluster: {{{cluster}}}}}]"
    file.write_text(f"{{clusters: {clusters}, users: {users}, contexts: {contexts}, current-context: c}}")
    code, output = told("up", "--kubernetes", "--kubeconfig", str(file))
    assert code == 1
    assert words in output
