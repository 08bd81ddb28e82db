"""What istioctl itself prints of a dump, where there is one, beside what `proxy-config` prints of it.

`ISTIOCTL` names the program. It needs no cluster for this.
"""

import json
import subprocess

import pytest

from tests.cli.test_proxy_config import ENVOY, HOSTS, ran


def printed(istioctl, *arguments):
    command = [istioctl, "proxy-config", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout


def cells(table, columns):
    """The rows of a table by the places of its header's columns, as many of them as are asked for."""
    header, *rows = table.splitlines()
    starts = [header.index(column) for column in columns]
    ends = [*starts[1:], None]
    return [[row[start:end].strip() for start, end in zip(starts, ends, strict=True)] for row in rows]


COLUMNS = {
    "cluster": ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"),
    "listener": ("ADDRESSES", "PORT", "MATCH", "DESTINATION"),
    "route": ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"),
    "eds": ("NAME", "STATUS", "LOCALITY", "CLUSTER"),
}
OURS = {"route": ("DESTINATION",), "eds": ("PRIORITY",)}


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_columns_are_filled_alike(istioctl, kind):
    theirs = cells(printed(istioctl, kind, "-f", ENVOY), COLUMNS[kind])
    ours = cells(ran("pc", kind, "-f", ENVOY).output, (*COLUMNS[kind], *OURS.get(kind, ())))
    assert [row[: len(COLUMNS[kind])] for row in ours] == theirs


def test_endpoints_are_told_alike(istioctl):
    columns = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
    theirs = cells(printed(istioctl, "endpoint", "-f", HOSTS), columns)
    assert cells(ran("pc", "endpoint", "-f", HOSTS).output, columns) == theirs


@pytest.mark.parametrize("kind", [*COLUMNS, "bootstrap"])
def test_json_is_the_same_but_for_its_order(istioctl, kind):
    theirs = json.loads(printed(istioctl, kind, "-f", ENVOY, "-o", "json"))
    ours = json.loads(ran("pc", kind, "-f", ENVOY, "-o", "json").output)
    assert in_order(ours) == in_order(theirs)


def in_order(found):
    return sorted(found, key=json.dumps) if isinstance(found, list) else found
