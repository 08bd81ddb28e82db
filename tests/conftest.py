"""What every test may ask for."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).parent.parent

# The same examples every time, so that a red run is red again; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what comes out as what is expected")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Cases of other projects, kept beside the repository and not in it."""
    folder = REPOSITORY.parent / "shared" / "conformance"
    if not folder.is_dir():
        pytest.skip("no conformance cases beside this repository")
    return folder


@pytest.fixture(scope="session")
def istioctl() -> str:
    """The program itself."""
    return _program("ISTIOCTL", "istioctl")


@pytest.fixture(scope="session")
def pilot_agent() -> str:
    """The program itself."""
    return _program("PILOT_AGENT", "Istio's agent")


def _program(variable: str, name: str) -> str:
    program = os.environ.get(variable, "")
    if not program:
        pytest.skip(f"no {name}: {variable} names a program of one's own")
    assert os.access(program, os.X_OK), f"{variable}: {program} is no program"
    return program


@pytest.fixture(autouse=True)
def logs_go_where_they_would() -> None:
    """Commands that ran in this process turned its logs to themselves; a test is to hear what it causes."""
    for name in ("pilotpy", "pilotpy_ca"):
        log = logging.getLogger(name)
        log.handlers.clear()
        log.setLevel(logging.NOTSET)
        log.propagate = True
