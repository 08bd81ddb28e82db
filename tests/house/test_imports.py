"""Who may import whom: the contracts of pyproject.toml, and what they cannot say."""

import subprocess
import sys

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_imports_follow_the_flow_of_data(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    assert lint_imports(no_logo=True, no_cache=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_the_certificate_authority_stands_alone():
    program = "import sys, pilotpy_ca; print([m for m in sys.modules if m.partition('.')[0] == 'pilotpy'])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
