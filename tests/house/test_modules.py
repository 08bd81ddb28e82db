"""The plan of the house, as far as a machine can see it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OURS = [*(REPOSITORY / "pilotpy").rglob("*.py"), *(REPOSITORY / "ca" / "pilotpy_ca").rglob("*.py")]
PURE = ("schema", "model", "engine", "mesh", "compile", "explain", "analyze")

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "impl", "info", "data", "misc"}
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
SILENCED = re.compile(r"#\s*(?:type:\s*ignore\[[^]]*]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)(?P<reason>.*)$")


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def each(modules: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", sorted(modules), ids=name)


def definitions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


@each(OURS)
def test_a_module_is_short_enough_to_be_read(module):
    assert len(module.read_text().splitlines()) <= 400


@each(OURS)
def test_a_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(module.read_text()))


@each(OURS)
def test_names_say_something(module):
    words = {word for part in module.relative_to(REPOSITORY).with_suffix("").parts for word in part.split("_")}
    for definition in definitions(module):
        if isinstance(definition, ast.ClassDef):
            words |= {word.lower() for word in CAMEL.findall(definition.name)}
    assert not words & EMPTY_WORDS


@each(OURS)
def test_a_function_is_named_for_what_it_returns(module):
    assert not [d.name for d in definitions(module) if re.match(r"_*(get|build)_", d.name)]


@each(OURS)
def test_a_silenced_check_tells_its_reason(module):
    silenced = filter(None, map(SILENCED.search, module.read_text().splitlines()))
    assert not [found[0] for found in silenced if not re.search(r"\w{2,} \w+", found["reason"])]


@each([path for path in OURS if path.relative_to(REPOSITORY).parts[1] in PURE or path.name.startswith("session")])
def test_nothing_waits_in_the_middle(module):
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    assert not [node.lineno for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, waiting)]


@each(OURS)
def test_a_finding_tells_what_mends_it(module):
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    findings = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    for call in findings:
        keywords = {keyword.arg for keyword in call.keywords}
        assert "hint" in keywords or None in keywords, f"line {call.lineno}"
