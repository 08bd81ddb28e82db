"""Writes deploy/crds from the types of pilotpy.model: `make crds`."""

from __future__ import annotations

from pathlib import Path

import yaml

from pilotpy.kube.definitions import definitions


class _Plain(yaml.SafeDumper):
    """No anchors: kubectl reads them, people do not."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as it is called
        return True


def main() -> None:
    """Replace the files in crds/ by those of now."""
    folder = Path(__file__).parent / "crds"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for one in definitions():
        text = yaml.dump(one, Dumper=_Plain, sort_keys=False, width=110)
        (folder / f"{one['metadata']['name']}.yaml").write_text(text)


if __name__ == "__main__":
    main()
