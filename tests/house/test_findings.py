"""What users are told: each finding says what mends it, each code means one thing, and docs/findings.md lists ours."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.house.modules import PILOTPY, REPOSITORY, calls, name, nodes, offenders

TABLE = REPOSITORY / "docs" / "findings.md"

CODE = re.compile(r"PP\d{4}")
ROW = re.compile(
    r"^\| (?P<code>PP\d{4}) \| (?P<severity>[^|]+) \| (?P<meaning>[^|]+) \| (?P<mends>[^|]+) \|$", re.MULTILINE
)

# A message with one of these says what to do itself: what is missing, what there may be, what it must be like.
SAYS_WHAT_TO_DO = re.compile(
    r"(?i)\b(missing|needs?|needed|must|may|only|one of|at (?:most|least)|expected|such as|of the form|neither|cannot"
    r"|ignored|from -?\{?\d*|more than|whole|has no|have no|there (?:is|are)|to inherit|begins? with|without|regions"
    r"|unlike|no effect|larger|twice|overlaps?|wildcard|prefix|not allowed)\b"
)


def keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def test_findings_say_what_mends_them():
    def unmended(module: Path) -> list[int]:
        without = [call.lineno for call in calls(module, "Finding") if "hint" not in keywords(call)]
        for call in calls(module, "Problem", "warning"):
            message = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
            hinted = len(call.args) > 2 or "hint" in keywords(call)
            if message and not hinted and not SAYS_WHAT_TO_DO.search(message):
                without.append(call.lineno)
        return without

    assert offenders(PILOTPY, unmended) == {}


def test_hints_are_sentences():
    def unfinished(module: Path) -> list[str]:
        hints = [keywords(call).get("hint") for call in calls(module, "Finding")]
        written = [one.value for one in hints if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return [hint for hint in written if hint[:1].islower()]

    assert offenders(PILOTPY, unfinished) == {}


def test_a_code_means_one_thing():
    claimed = defaultdict(set)
    for module in PILOTPY:
        for node in nodes(module, ast.Constant):
            if isinstance(node.value, str) and CODE.fullmatch(node.value):
                claimed[node.value].add(name(module))
    assert {code: modules for code, modules in claimed.items() if len(modules) > 1} == {}
    assert sorted(claimed) == [row["code"] for row in ROW.finditer(TABLE.read_text())]


def test_rows_are_complete():
    for row in ROW.finditer(TABLE.read_text()):
        assert re.fullmatch(r"(Error|Warning|Info)(, (Error|Warning|Info))*", row["severity"]), row["code"]
        assert row["meaning"].strip(), row["code"]
        assert row["mends"].strip(), row["code"]
