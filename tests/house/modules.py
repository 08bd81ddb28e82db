"""The modules of the project, read once."""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PILOTPY = sorted((REPOSITORY / "pilotpy").rglob("*.py"))
OURS = [*PILOTPY, *sorted((REPOSITORY / "ca" / "pilotpy_ca").rglob("*.py"))]
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


def name(module: Path) -> str:
    return module.relative_to(REPOSITORY).as_posix()


@cache
def lines(module: Path) -> list[str]:
    return module.read_text().splitlines()


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def nodes(module: Path, *kinds: type[ast.AST]) -> Iterator[Any]:
    """All of some kinds, kind by kind."""
    return chain.from_iterable(_by_kind(module).get(kind, ()) for kind in kinds)


def calls(module: Path, *names: str) -> Iterator[ast.Call]:
    """All calls of functions of some names."""
    return (call for call in nodes(module, ast.Call) if isinstance(call.func, ast.Name) and call.func.id in names)


@cache
def _by_kind(module: Path) -> dict[type[ast.AST], list[ast.AST]]:
    found: dict[type[ast.AST], list[ast.AST]] = {}
    for node in ast.walk(tree(module)):
        found.setdefault(type(node), []).append(node)
    return found


def offenders(modules: Iterable[Path], wrong: Callable[[Path], Any]) -> dict[str, Any]:
    """What is wrong with each module, by its name; empty if nothing is with any."""
    return {name(module): found for module in modules if (found := wrong(module))}
