"""Which names a pod may say for which addresses."""

import pytest

from pilotpy.agent.name_book import Found, name_book
from pilotpy_protos.istio.networking.nds.v1.nds_pb2 import NameTable

SEARCH = "shop.svc.cluster.local"


def table() -> NameTable:
    made = NameTable()

    def add(host, *ips, **more):
        made.table[host].CopyFrom(NameTable.NameInfo(ips=ips, **more))

    kubernetes = {"registry": "Kubernetes"}
    add("cart.shop.svc.cluster.local", "10.0.0.1", "fd00::1", shortname="cart", namespace="shop", **kubernetes)
    add("cart.other.svc.cluster.local", "10.0.0.2", shortname="cart", namespace="other", **kubernetes)
    add("db-0.db.shop.svc.cluster.local", "10.0.1.1", shortname="db-0.db", namespace="shop", **kubernetes)
    add("api.example.com", "10.0.0.3", "10.0.0.4", "not an address", registry="External")
    add("*.wild.example.com", "10.0.0.5", registry="External")
    add("x.shop.svc.clusterset.local", "10.0.0.6", shortname="x", namespace="shop", **kubernetes)
    return made


BOOK = name_book(table(), "shop", SEARCH)


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        pytest.param("cart", 4, Found("cart", ("10.0.0.1",)), id="a short name is one of the own namespace"),
        pytest.param("CART.", 4, Found("cart", ("10.0.0.1",)), id="case and the last dot say nothing"),
        pytest.param("cart.other", 4, Found("cart.other", ("10.0.0.2",)), id="with a namespace"),
        pytest.param("cart.other.svc", 4, Found("cart.other.svc", ("10.0.0.2",)), id="with svc"),
        pytest.param("cart", 6, Found("cart", ("fd00::1",)), id="IPv6"),
        pytest.param("cart.other", 6, Found("cart.other", ()), id="a known name without such an address"),
        pytest.param("db-0.db", 4, Found("db-0.db", ("10.0.1.1",)), id="a pod of a headless service"),
        pytest.param(
            "api.example.com", 4, Found("api.example.com", ("10.0.0.3", "10.0.0.4")), id="addresses only, in order"
        ),
        pytest.param(
            f"api.example.com.{SEARCH}",
            4,
            Found("api.example.com", ("10.0.0.3", "10.0.0.4")),
            id="what a resolver makes of it by its search list",
        ),
        pytest.param("a.b.wild.example.com", 4, Found("a.b.wild.example.com", ("10.0.0.5",)), id="a wildcard"),
        pytest.param(
            f"a.wild.example.com.{SEARCH}", 4, Found("a.wild.example.com", ("10.0.0.5",)), id="a wildcard, searched"
        ),
        pytest.param("wild.example.com", 4, None, id="a wildcard does not cover its own rest"),
        pytest.param("x", 4, None, id="a service of a cluster set has no short name"),
        pytest.param("cart.third", 4, None, id="another namespace's"),
        pytest.param("example.org", 4, None, id="a stranger"),
        pytest.param("", 4, None, id="the root"),
    ],
)
def test_names(name, version, found):
    assert BOOK.find(name, version=version) == found


def test_a_full_name_is_itself_even_if_another_is_called_so_for_short():
    made = table()
    made.table["cart"].CopyFrom(NameTable.NameInfo(ips=["10.9.9.9"], registry="External"))
    assert name_book(made, "shop").find("cart", version=4) == Found("cart", ("10.9.9.9",))
