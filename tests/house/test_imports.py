"""Who may import whom: the contracts of pyproject.toml, and what they cannot say."""

import subprocess
import sys


def test_imports_follow_the_flow_of_data(repository):
    # In a process of its own, because it switches the logs off of whoever runs it.
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_logo=True, no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_certificate_authority_stands_alone():
    program = "import sys, pilotpy_ca; print([m for m in sys.modules if m.partition('.')[0] == 'pilotpy'])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
