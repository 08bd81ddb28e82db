"""What RE2 has against expressions; that a real Envoy agrees is tested beside its other verdicts."""

import pytest

from pilotpy.schema.re2 import capture_groups, refusal


@pytest.mark.parametrize(
    "regex",
    [
        "",
        ".*",
        r"^/v[0-9]+/.*$",
        "(?i)a|b",
        "(?P<n>a)",
        r"[[:alpha:]\d_-]",
        r"\p{Greek}",
        r"\Qa*\E",
        "a{,3}",
        "é{1000}",
    ],
)
def test_re2_takes(regex):
    assert refusal(regex) is None


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(?=a)", "invalid perl operator: (?="),
        ("(a", "missing ): (a"),
        ("a)", "unexpected ): a)"),
        ("[a", "missing ]: [a"),
        ("a**", "bad repetition operator: **"),
        ("*", "no argument for repetition operator: *"),
        (r"\1", r"invalid escape sequence: \1"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("(a{100}){11}", "invalid repetition size: {11}"),
        ("[z-a]", "invalid character class range: z-a"),
        (r"\p{Elvish}", r"invalid character class range: \p{Elvish}"),
        ("a\\", "trailing \\"),
        (f"(?:{'a' * 40}){{1000}}", "pattern too large"),
    ],
)
def test_re2_refuses(regex, why):
    assert refusal(regex) == why


@pytest.mark.parametrize(
    ("regex", "groups"), [("a", 0), ("(a)(?:b)((c))", 3), ("(?P<n>a)(?i)(b)", 2), (r"\(a\)[(]", 0)]
)
def test_only_groups_that_capture_are_counted(regex, groups):
    assert capture_groups(regex) == groups
