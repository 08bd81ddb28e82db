"""Which proxy somebody is, as far as it has proved that."""

import pytest

from pilotpy.mesh.view import Identity
from pilotpy.xds.identity import holder_named

CASES = [
    pytest.param("web-0.shop", "", "web-0.shop", id="of a cluster that nobody named"),
    pytest.param("web-0.shop", "home", "web-0.shop", id="at home"),
    pytest.param("web-0.shop", "east", "web-0@east.shop", id="elsewhere, called as one at home"),
    pytest.param("web.0.shop", "home", "web.0.shop", id="whose name has a dot"),
    pytest.param("web-0.other", "home", "", id="of another namespace"),
    pytest.param("web-0.big-shop", "home", "", id="of a namespace that ends like its own"),
    pytest.param("shop", "home", "", id="without a namespace"),
]


@pytest.mark.parametrize(("proxy", "cluster", "holder"), CASES)
def test_a_proxy_that_says_its_name_is_known_as_one(proxy, cluster, holder):
    assert holder_named(proxy, Identity("shop", "web", cluster), "home") == holder
