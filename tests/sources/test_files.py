"""What files say, what they said last, and what is wrong with them."""

import os
from pathlib import Path

import pytest

from pilotpy.model.resource import Ref
from pilotpy.sources.disk import MAX_BYTES
from pilotpy.sources.folder import Folder
from tests.sources.following import service


class Reader:
    """Writes files and reads them with a folder, over and over."""

    def __init__(self, path, *roots, **options):
        self.path = path
        self.folder = Folder(roots or [path], **options)
        self.objects = {}

    def write(self, **files):
        for name, text in files.items():
            (self.path / f"{name}.yaml").write_text(text)
        return self.read()

    def read(self):
        changes = self.folder.load()
        for ref, _, old, new in changes:
            assert self.objects.get(ref) == old
            self.objects = {**self.objects, ref: new} if new else {r: o for r, o in self.objects.items() if r != ref}
        return changes

    @property
    def services(self):
        return {ref.name: one.spec.ports[0].port for ref, one in self.objects.items() if ref.kind == "Service"}

    @property
    def findings(self):
        return [(Path(one.file).name, one.line, one.code) for one in self.folder.findings]


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path)


NOT_A_SERVICE = service("a").replace("ports: [{port: 80}]", "ports: 80")

BREAKS = {
    "not YAML": ("a: [\n", ("a.yaml", 2, "PP0001")),
    "not an object": ("- 1\n", ("a.yaml", 1, "PP0004")),
    "a wrong type in a field": (NOT_A_SERVICE, ("a.yaml", 5, "IST0106")),
    "binary": ("\0" * 9, ("a.yaml", 1, "PP0003")),
    "more than is read": (" " * (MAX_BYTES + 1), ("a.yaml", 0, "PP0003")),
}


@pytest.mark.parametrize(("text", "finding"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_keeps_what_it_said_and_is_told(reader, text, finding):
    reader.write(a=service("a"), b=service("b"))
    assert reader.write(a=text) == []
    assert reader.services == {"a": 80, "b": 80}
    assert reader.findings == [finding]
    reader.write(a=service("a", 81))
    assert reader.services == {"a": 81, "b": 80}
    assert reader.findings == []


@pytest.mark.parametrize(("text", "finding"), BREAKS.values(), ids=BREAKS)
def test_what_was_never_right_is_told_and_says_nothing(reader, text, finding):
    reader.write(a=text, b=service("b"))
    assert reader.services == {"b": 80}
    assert reader.findings == [finding]


def test_a_document_that_breaks_loses_none_of_the_others_of_its_file(reader):
    reader.write(a=service("a") + service("b") + service("c"))
    reader.write(a=NOT_A_SERVICE + service("b", 81))
    assert reader.services == {"a": 80, "b": 81}
    assert reader.findings == [("a.yaml", 5, "IST0106")]


def test_what_admission_refuses_breaks_too(reader):
    def split(weight):
        return (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n"
            f"spec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: {{host: a}}\n      weight: {weight}\n"
        )

    ref = Ref("VirtualService", "default", "v")
    reader.write(a=split(50))
    reader.write(a=split(-50))
    assert reader.objects[ref].spec.http[0].route[0].weight == 50
    assert reader.findings == [("a.yaml", 9, "IST0106")]


def test_while_a_document_cannot_even_be_read_none_is_believed_to_be_gone(reader):
    reader.write(a=service("a") + service("b") + service("c"))
    reader.write(a="---\na: [\n" + service("b", 81))
    assert reader.services == {"a": 80, "b": 81, "c": 80}


def test_a_document_that_is_taken_out_is_gone(reader):
    reader.write(a=service("a") + service("b"))
    reader.write(a=service("b"))
    assert reader.services == {"b": 80}


def test_what_is_only_moved_or_commented_changes_nothing_but_where_it_stands(reader):
    ref = Ref("Service", "shop", "a")
    reader.write(a=service("a"))
    assert reader.folder.where(ref, "spec.ports[0].port")[1] == 5
    assert reader.write(a="# a comment\n" + service("a")) == []
    assert reader.folder.where(ref, "spec.ports[0].port")[1] == 6


def test_of_two_objects_of_one_name_the_first_by_path_counts(reader):
    reader.write(b=service("a", 81))
    reader.write(a=service("a", 80))
    assert reader.services == {"a": 80}
    assert reader.findings == [("b.yaml", 4, "PP0007")]
    (reader.path / "a.yaml").unlink()
    reader.read()
    assert reader.services == {"a": 81}
    assert reader.findings == []


def test_of_two_objects_of_one_name_in_one_file_the_first_counts(reader):
    reader.write(a=service("a", 80) + service("a", 81))
    assert reader.services == {"a": 80}
    assert reader.findings == [("a.yaml", 9, "PP0007")]


def test_a_root_that_vanishes_keeps_what_it_said(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "a.yaml").write_text(service("a"))
    (tmp_path / "two" / "b.yaml").write_text(service("b"))
    reader = Reader(tmp_path, tmp_path / "one", tmp_path / "two")
    reader.read()
    (tmp_path / "one").rename(tmp_path / "three")
    assert reader.read() == []
    assert reader.findings == [("one", 0, "PP0001")]
    (tmp_path / "two" / "b.yaml").unlink()
    reader.read()
    assert reader.services == {"a": 80}
    (tmp_path / "one").mkdir()
    reader.read()
    assert reader.services == {}
    assert reader.findings == []


def test_a_folder_that_may_not_be_read_keeps_what_it_said(reader, monkeypatch):
    closed = reader.path / "x"

    def access(path, mode, real=os.access):
        return path != closed and real(path, mode)

    def scandir(path, real=os.scandir):
        if path == closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    closed.mkdir()
    (closed / "a.yaml").write_text(service("a"))
    reader.write(b=service("b"))
    monkeypatch.setattr(os, "access", access)  # permissions do not stop root
    monkeypatch.setattr(os, "scandir", scandir)
    assert reader.read() == []
    assert reader.findings == [("x", 0, "PP0001")]


def test_a_file_that_may_not_be_read_is_told(reader, monkeypatch):
    def refuse(path, *args, real=os.open):
        if os.fspath(path).endswith("a.yaml"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args)

    reader.write(a=service("a"))
    (reader.path / "a.yaml").write_text(service("a", 81))
    monkeypatch.setattr(os, "open", refuse)
    assert reader.read() == []
    assert reader.read() == []
    assert reader.findings == [("a.yaml", 0, "PP0003")]


def test_pipes_sockets_and_circles_of_links_are_passed_over(reader):
    os.mkfifo(reader.path / "pipe.yaml")
    (reader.path / "circle").symlink_to(reader.path)
    (reader.path / "nowhere.yaml").symlink_to("nothing")
    reader.write(a=service("a"))
    assert reader.services == {"a": 80}
    assert reader.findings == []


def test_json_and_lists_are_read_too(reader):
    (reader.path / "a.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service",'
        ' "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}]}'
    )
    reader.read()
    assert reader.services == {"a": 80}


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    %s
"""
MESH = Ref("MeshConfig", "istio-system", "meshconfig")


def test_mesh_settings_come_from_the_config_map(reader):
    reader.write(mesh=CONFIG_MAP % "proxyListenPort: 15002")
    assert reader.objects[MESH].spec.proxy_listen_port == 15002
    assert reader.folder.where(MESH)[1] == 5
    assert reader.folder.where(MESH, "outboundTrafficPolicy.mode")[1] > 5
    (reader.path / "mesh.yaml").unlink()
    reader.read()
    assert MESH not in reader.objects


def test_mesh_settings_that_are_wrong_leave_the_last_ones_and_tell_the_line(reader):
    reader.write(mesh=CONFIG_MAP % "proxyListenPort: 15002")
    assert [one.ref.kind for one in reader.write(mesh=CONFIG_MAP % "proxyListenPort: many")] == ["ConfigMap"]
    assert reader.objects[MESH].spec.proxy_listen_port == 15002
    assert reader.findings == [("mesh.yaml", 7, "IST0106")]


def test_mesh_settings_in_a_file_of_their_own_win_over_the_config_map(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("proxyListenPort: 15003\n")
    reader = Reader(tmp_path, mesh_config=own)
    reader.write(mesh=CONFIG_MAP % "proxyListenPort: 15002")
    assert reader.objects[MESH].spec.proxy_listen_port == 15003
    assert reader.findings == []
    reader.write(own="proxyListenPort: 15004\n")
    assert reader.objects[MESH].spec.proxy_listen_port == 15004
    reader.write(own=" " * (MAX_BYTES + 1))
    assert reader.objects[MESH].spec.proxy_listen_port == 15004
    assert reader.findings == [("own.yaml", 0, "PP0003")]
