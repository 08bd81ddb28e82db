"""What a client is given in small meshes, as files to be read.

A case is a folder `<feature>/<case>`: `in.yaml`, perhaps `proxy.yaml` ({proxy: POD.NAMESPACE, envoy: istio|plain}),
and what comes out: of `clusters.yaml`, `endpoints.yaml`, `listeners.yaml`, `routes.yaml` and `findings.txt` those that
it is about. Resources that the client has alone in its mesh too, with `_base/in.yaml`, are left out.
With `--update-golden` the files of a case are written anew; start a new one empty.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotpy import api

HERE = Path(__file__).parent
BASE = HERE / "_base" / "in.yaml"
CASES = sorted(path.parent for path in HERE.glob("*/*/in.yaml"))


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: every resource is to be read by itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_multi_representer(dict, lambda dumper, data: dumper.represent_dict(dict(data)))


def document(*files: Path, proxy: str = "client.default", envoy: str = "istio") -> dict[str, Any]:
    return api.load(*files).proxy(proxy, envoy=envoy).document()


def text(case: Path, name: str) -> str:
    """What the file of a case says, if all is well."""
    described = case / "proxy.yaml"
    asked = yaml.safe_load(described.read_text()) if described.exists() else {}
    found = document(BASE, case / "in.yaml", **asked)
    part = Path(name).stem
    if part == "findings":
        return "".join(f"{line(one)}\n" for one in found["findings"])
    alone = document(BASE, **asked)[part] if not asked.get("proxy") else []
    return yaml.dump([one for one in found[part] if one not in alone], Dumper=_Dumper, width=120, allow_unicode=True)


def line(finding: dict[str, Any]) -> str:
    where = finding["resource"]
    named = f"{where['kind']} {where['namespace']}/{where['name']} {finding['field']}"
    return f"{finding['level']} [{finding['code']}] {named}: {finding['message']}"


def files(case: Path) -> list[Path]:
    return sorted(path for path in case.iterdir() if path.name not in {"in.yaml", "proxy.yaml"})


def name(path: Path) -> str:
    return path.relative_to(HERE).as_posix()


@pytest.mark.parametrize("golden", [golden for case in CASES for golden in files(case)], ids=name)
def test_golden(golden, update_golden):
    found = text(golden.parent, golden.name)
    if update_golden:
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_case_says_what_it_is_about(case):
    assert files(case)
    assert len((case / "in.yaml").read_text().splitlines()) <= 40
