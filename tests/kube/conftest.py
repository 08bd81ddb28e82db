"""A real API server for tests, where there is one."""

import os

import pytest

from pilotpy.lab.cluster import assets
from tests.kube.cluster import Cluster


@pytest.fixture(scope="session")
def kube_assets():
    """The folder of kube-apiserver and etcd; without them there is nothing to test, except where they are required."""
    try:
        return assets.folder()
    except assets.Missing as missing:
        if os.environ.get("PILOTPY_REQUIRE_KUBE"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def apiserver(kube_assets, tmp_path_factory):
    """A cluster that all tests share: each takes a namespace of its own."""
    cluster = Cluster(kube_assets, tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
