"""A real API server for tests, where there is one."""

import os

import pytest

from pilotpy.lab.cluster import assets
from tests.kube.cluster import Cluster, Refused
from tests.kube.objects import definition
from tests.kube.waiting import eventually


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


@pytest.fixture(scope="module")
def routes(apiserver):
    """VirtualServices are installed, as long as a module's tests run."""
    routes = definition("virtualservices", "VirtualService", "networking.istio.io", "v1")
    apiserver.admin.create(routes)
    yield
    apiserver.admin.delete(routes)

    def gone():
        try:
            apiserver.admin.read(routes)
        except Refused:
            return True
        return False

    eventually(gone)
