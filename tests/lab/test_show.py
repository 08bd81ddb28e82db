"""What a lab says on a terminal."""

from __future__ import annotations

from pilotpy.lab.show import finding_lines
from pilotpy.model.resource import Finding, Ref, Severity


def wrong(message, ref=None):
    return Finding(code="PP0010", severity=Severity.ERROR, message=message, ref=ref)


def test_what_is_about_no_object_is_one_line_for_each_code():
    lines = list(finding_lines([wrong("pods cannot be watched"), wrong("services cannot be watched")]))
    assert lines == ["Error [PP0010] pods cannot be watched (and 1 more of this kind)"]


def test_what_is_the_same_of_many_objects_is_one_line_and_what_differs_is_not():
    objects = [Ref("Service", "default", name) for name in ("a", "b")]
    assert len(list(finding_lines(wrong("no such thing", ref) for ref in objects))) == 1
    assert len(list(finding_lines(wrong(f"no such thing: {ref.name}", ref) for ref in objects))) == 2


def test_what_two_have_found_is_told_once():
    assert len(list(finding_lines([wrong("here", Ref("Pod", "x", "y"))] * 2))) == 1
