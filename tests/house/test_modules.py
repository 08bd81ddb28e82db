"""The plan of the house, as far as a machine can see it."""

import ast
import re
from pathlib import Path

from tests.house.modules import OURS, REPOSITORY, lines, nodes, offenders, tree

PURE = ("schema", "model", "engine", "mesh", "compile", "explain", "analyze")

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "impl", "info", "data", "misc"}
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
SILENCED = re.compile(r"#\s*(?:type:\s*ignore\[[^]]*]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)(?P<reason>.*)$")


def test_modules_are_short_enough_to_be_read():
    assert offenders(OURS, lambda module: [len(lines(module))] if len(lines(module)) > 400 else []) == {}


def test_modules_say_what_they_are_for():
    assert offenders(OURS, lambda module: ast.get_docstring(tree(module)) is None) == {}


def test_names_say_something():
    def empty(module: Path) -> set[str]:
        words = {word for part in module.relative_to(REPOSITORY).with_suffix("").parts for word in part.split("_")}
        classes = {word.lower() for one in nodes(module, ast.ClassDef) for word in CAMEL.findall(one.name)}
        return (words | classes) & EMPTY_WORDS

    assert offenders(OURS, empty) == {}


def test_functions_are_named_for_what_they_return():
    def ordered(module: Path) -> list[str]:
        made = nodes(module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return [one.name for one in made if re.match(r"_*(get|build)_", one.name)]

    assert offenders(OURS, ordered) == {}


def test_silenced_checks_tell_their_reason():
    def unreasoned(module: Path) -> list[str]:
        silenced = filter(None, map(SILENCED.search, lines(module)))
        return [found[0] for found in silenced if not re.search(r"\w{2,} \w+", found["reason"])]

    assert offenders(OURS, unreasoned) == {}


def test_nothing_waits_in_the_middle():
    def waiting(module: Path) -> list[int]:
        return [one.lineno for one in nodes(module, ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)]

    middle = [one for one in OURS if one.relative_to(REPOSITORY).parts[1] in PURE or one.name.startswith("session")]
    assert middle
    assert offenders(middle, waiting) == {}
