"""Files as objects: what is read, what is refused and where, and what a broken document costs the others."""

import json

import pytest

from pilotpy.schema import codes
from pilotpy.schema.documents import MAX_BYTES, documents

SERVICE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n"


def raws(content):
    found = documents(content, "f.yaml")
    assert found.whole, found.findings
    return [document.raw for document in found.objects]


READ = [
    ("one document", "a: 1", [{"a": 1}]),
    ("several, separated", "a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
    ("a separator first and last", "---\na: 1\n---\n", [{"a": 1}]),
    ("a separator with a comment", "--- # first\na: 1\n", [{"a": 1}]),
    ("a document on the line of its separator", "--- {a: 1}\n", [{"a": 1}]),
    ("a document's end mark", "a: 1\n...\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
    ("comments alone are nothing", "# nothing\n---\n# here\n", []),
    ("an empty file is nothing", "", []),
    ("a directive", "%YAML 1.1\n---\na: 1\n", [{"a": 1}]),
    ("a byte order mark", b"\xef\xbb\xbfa: 1\n", [{"a": 1}]),
    ("line ends of Windows", "a: 1\r\n---\r\nb: 2\r\n", [{"a": 1}, {"b": 2}]),
    ("three dashes inside a text are text", "a: |\n  x\n  ---\n  y\n", [{"a": "x\n---\ny\n"}]),
    ("quotes make text", "a: '1'\nb: \"on\"\n", [{"a": "1", "b": "on"}]),
    ("keys are text", "1: a\non: b\n", [{"1": "a", "true": "b"}]),
    ("anchors and aliases", "a: &x [1]\nb: *x\n", [{"a": [1], "b": [1]}]),
    (
        "merge keys give way to what is written",
        "a: &x {k: 1, l: 2}\nb:\n  l: 3\n  <<: *x\n",
        [{"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}],
    ),
    ("JSON", '{"a": [true, null, 1.5, "\\ud83d\\ude00"]}', [{"a": [True, None, 1.5, "😀"]}]),
    ("JSON with tabs", '{\n\t"a":\t1\n}', [{"a": 1}]),
    ("YAML that begins like JSON", "{a: 1}", [{"a": 1}]),
    ("an explicit tag", 'a: !!int "3"\nb: !!str 3\n', [{"a": 3, "b": "3"}]),
]


@pytest.mark.parametrize(("content", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_what_is_read(content, expected):
    assert raws(content) == expected


REFUSED = [
    ("broken YAML", "a: b: c", codes.UNREADABLE, 1),
    ("broken in the third line", "a: 1\nb:\n  - c\n d: e\n", codes.UNREADABLE, 4),
    ("a key that stands twice", "spec:\n  a: 1\n  b: 2\n  a: 3\n", codes.DUPLICATE_KEY, 4),
    ("a key that stands twice in JSON", '{"a": 1,\n "a": 2}', codes.DUPLICATE_KEY, 2),
    ("an unrendered template", "name: {{ .Values.name }}", codes.UNREADABLE, 1),
    ("an unknown tag", "a: 1\nb: !vault x\n", codes.UNREADABLE, 2),
    ("an alias of nothing", "a: *x", codes.UNREADABLE, 1),
    ("an alias inside its own anchor", "a: &x [*x]", codes.UNREADABLE, 1),
    ("infinity", "a: 1\nb: .inf\n", codes.UNREADABLE, 2),
    ("a text is no object", "just words", codes.NOT_AN_OBJECT, 1),
    ("a list is no object", "- a\n- b\n", codes.NOT_AN_OBJECT, 1),
    ("an item of a List that is no object", "kind: List\nitems: [1]\n", codes.NOT_AN_OBJECT, 1),
    ("bytes that are not text", b"ok: 1\n\xff\xfe\x00", codes.TOO_MUCH, 2),
    ("a NUL byte", b"a: 1\nb: \x00", codes.TOO_MUCH, 2),
    ("a control character", "a: 1\nb: \x07\n", codes.UNREADABLE, 2),
    ("a file over the limit", b"#" * (MAX_BYTES + 1), codes.TOO_MUCH, 0),
    ("brackets without end", "[" * 100_000, codes.TOO_MUCH, 1),
    ("JSON without end", '{"a":' * 100_000, codes.TOO_MUCH, 1),
    ("indentation without end", "".join(" " * i + "a:\n" for i in range(1000)), codes.TOO_MUCH, 101),
]


@pytest.mark.parametrize(("content", "code", "line"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_is_refused(content, code, line):
    found = documents(content, "f.yaml")
    assert found.objects == ()
    assert [(finding.code, finding.file, finding.line) for finding in found.findings] == [(code, "f.yaml", line)]


def test_aliases_that_multiply_are_refused_before_they_do():
    laughs = 'a: &a ["lol"]\n'
    for here, before in zip("bcdefghijk", "abcdefghij", strict=True):
        laughs += f"{here}: &{here} [{','.join([f'*{before}'] * 10)}]\n"
    assert [finding.code for finding in documents(laughs, "f").findings] == [codes.TOO_MUCH]


def test_a_broken_document_loses_none_of_the_others():
    content = f"{SERVICE.format(name='a')}---\nbroken: [\n---\n{SERVICE.format(name='b')}"
    found = documents(content, "f.yaml")
    assert [one.raw["metadata"]["name"] for one in found.objects] == ["a", "b"]
    assert not found.whole
    assert [finding.line for finding in found.findings] == [7]


def test_a_list_is_its_items_each_with_its_lines():
    content = (
        "kind: List\napiVersion: v1\nitems:\n- kind: Service\n  metadata:\n    name: a\n"
        "- kind: Pod\n  metadata: {name: b}\n"
    )
    first, second = documents(content, "f.yaml").objects
    assert (first.raw["kind"], first.lines.line("metadata.name")) == ("Service", 6)
    assert (second.raw["kind"], second.lines.line("metadata.name")) == ("Pod", 8)


def test_items_of_a_typed_list_take_its_kind():
    content = json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]})
    assert raws(content) == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]


LINES = [
    ("a field", "spec.ports[0].port", 11),
    ("a mapping stands where its key stands", "spec.ports", 10),
    ("an item stands where it begins", "spec.ports[0]", 11),
    ("a key with dots", 'metadata.labels["a.b/c"]', 8),
    ("a missing field, at what is nearest above", "spec.ports[0].name", 11),
    ("a missing item likewise", "spec.ports[7]", 10),
    ("nothing of the path is there: the object's first line", "status.x", 3),
    ("no path: the object's first line", "", 3),
]


@pytest.mark.parametrize(("path", "line"), [case[1:] for case in LINES], ids=[case[0] for case in LINES])
def test_where_a_field_stands(path, line):
    content = (
        "# a comment\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  labels:\n    a.b/c: d\n"
        "spec:\n  ports:\n  - port: 80\n"
    )
    (document,) = documents(content, "f.yaml").objects
    assert document.lines.line(path) == line
