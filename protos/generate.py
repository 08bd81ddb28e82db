"""From pinned descriptors and our own .proto files to the modules of `pilotpy_protos`.

Envoy's API comes as the serialized descriptors inside the modules of the distribution xds-protos, which must be on
the path (`make protos` installs it in a directory of its own). Three things are written:

- modules and stubs for the files that `roots.txt` names and all that they import, their imports moved under
  `pilotpy_protos` (file and message names stay as they are: they are part of the wire format);
- modules and stubs for Istio's services, whose definitions are in `istio/`;
- `api.binpb`, a FileDescriptorSet of the whole API, for `pilotpy_protos.descriptors`.
"""

import argparse
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from pilotpy_protos.version import XDS_PROTOS

HERE = Path(__file__).parent

API = ("envoy", "udpa", "xds")
# Never generated: protobuf and googleapis-common-protos own these files, and the default pool takes each file once.
OWNED_BY_OTHERS = re.compile(r"google/(?!api/expr/)")
# Envoy took its v2 API out in 1.18; what v3 files still import of it comes with them.
RETIRED = re.compile(r"/(v2|v2alpha\d?|v1alpha\d)/|envoy/(api|type)/(v2|[a-z_]+\.proto|matcher/[a-z_]+\.proto)")
IMPORT = re.compile(r"^from ([\w.]+) import (\S+)", re.MULTILINE)
# What a generated module tells its classes about the module they are in.
MODULE_NAME = re.compile(r"(?<=BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')(?=[\w.]+')")


def main() -> None:
    """Generate into the package directory, in place of what an earlier run left there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "pilotpy_protos", help="the package directory")
    out: Path = parser.parse_args().out
    if version("xds-protos") != XDS_PROTOS:
        sys.exit(f"pilotpy_protos/version.py says xds-protos {XDS_PROTOS}, installed is {version('xds-protos')}")

    api = [file for file in api_files() if not RETIRED.search(file.name)]
    generated = [file for file in closure(files_matching(api, root_patterns())) if not OWNED_BY_OTHERS.match(file)]
    own = sorted(path.relative_to(HERE).as_posix() for path in (HERE / "istio").rglob("*.proto"))

    with TemporaryDirectory() as scratch:
        modules, definitions = Path(scratch, "modules"), Path(scratch, "api.binpb")
        modules.mkdir()
        definitions.write_bytes(descriptor_set(closure(api)).SerializeToString())
        everything = Path(scratch, "everything.binpb")
        protoc(definitions, [*generated, *own], f"--python_out={modules}", f"--pyi_out={modules}")
        protoc(definitions, [*closure(api), *own], f"--descriptor_set_out={everything}", "--include_imports")
        move(modules)
        for top in modules.iterdir():
            shutil.rmtree(out / top.name, ignore_errors=True)
            shutil.move(top, out / top.name)
        shutil.move(everything, out / "api.binpb")

    print(f"{len(generated) + len(own)} modules, {len(closure(api)) + len(own)} descriptors", file=sys.stderr)


def api_files() -> Iterator[FileDescriptor]:
    """Every file of Envoy's API that the distribution holds, sorted by name."""
    # Several distributions own a top-level `envoy`; the one to read is the one beside `udpa`.
    home = Path(str(importlib.import_module("udpa").__file__)).parent.parent
    for top in API:
        for path in sorted((home / top).rglob("*_pb2.py")):
            module = path.relative_to(home).with_suffix("").as_posix().replace("/", ".")
            yield importlib.import_module(module).DESCRIPTOR


def root_patterns() -> list[str]:
    """The patterns of `roots.txt`, without comments and empty lines."""
    lines = (line.strip() for line in (HERE / "roots.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def files_matching(files: Iterable[FileDescriptor], patterns: list[str]) -> list[FileDescriptor]:
    """The files named by a pattern, a `*` standing for one path segment. A pattern that names none is an error."""
    chosen: dict[str, FileDescriptor] = {}
    files = list(files)
    for pattern in patterns:
        named = [file for file in files if matches(file.name.removesuffix(".proto"), pattern)]
        if not named:
            sys.exit(f"roots.txt: nothing matches {pattern}")
        chosen |= {file.name: file for file in named}
    return list(chosen.values())


def matches(name: str, pattern: str) -> bool:
    """Whether the path fits the pattern segment by segment."""
    segments, wanted = name.split("/"), pattern.split("/")
    return len(segments) == len(wanted) and all(map(fnmatchcase, segments, wanted))


def closure(files: Iterable[FileDescriptor]) -> dict[str, FileDescriptor]:
    """The files and all that they import, each after its own imports."""
    found: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        if file.name not in found:
            for dependency in file.dependencies:
                visit(dependency)
            found[file.name] = file

    for file in files:
        visit(file)
    return found


def descriptor_set(files: dict[str, FileDescriptor]) -> FileDescriptorSet:
    """The files as one message, in the given order."""
    return FileDescriptorSet(file=[FileDescriptorProto.FromString(file.serialized_pb) for file in files.values()])


def protoc(definitions: Path, files: Iterable[str], *outputs: str) -> None:
    """Run the compiler that grpcio-tools brings, on descriptors and on our own sources alike."""
    sources = [f"--descriptor_set_in={definitions}", f"--proto_path={HERE}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *sources, *outputs, *files], check=True)  # noqa: S603 - our own arguments


def move(modules: Path) -> None:
    """Put every generated module, its imports and its classes under `pilotpy_protos`; make directories packages."""
    own = {path.relative_to(modules).with_suffix("").as_posix().replace("/", ".") for path in modules.rglob("*.py")}

    def moved(line: re.Match[str]) -> str:
        package, name = line.groups()
        is_own = package in own or f"{package}.{name}" in own
        return f"from pilotpy_protos.{package} import {name}" if is_own else line[0]

    for path in [*modules.rglob("*.py"), *modules.rglob("*.pyi")]:
        path.write_text(MODULE_NAME.sub("pilotpy_protos.", IMPORT.sub(moved, path.read_text())))
    for directory in modules.rglob("*/"):
        (directory / "__init__.py").touch()


if __name__ == "__main__":
    main()
