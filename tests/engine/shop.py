"""A small world to try the engine on: goods in shops, prices with discounts, lists and a total."""

from __future__ import annotations

from typing import NamedTuple

from pilotpy.engine import Asking, Engine, Index, Kind, Put, query


class Good(NamedTuple):
    """Something for sale; a price below zero is a mistake that makes its label fail."""

    shop: str
    name: str
    price: int
    tag: str = ""


GOODS: Kind[Good] = Kind("Good")
DISCOUNTS: Kind[int] = Kind("Discount")
BY_SHOP = Index(GOODS, lambda good: [good.shop], "by shop")
BY_TAG = Index(GOODS, lambda good: [good.tag] if good.tag else [], "by tag")


def stock(good: Good) -> Put:
    """Write one good."""
    return Put(GOODS, (good.shop, good.name), good)


def drop(shop: str, name: str) -> Put:
    """Take one good away."""
    return Put(GOODS, (shop, name), None)


def discount(shop: str, percent: int | None) -> Put:
    """Write or take away the discount of a shop."""
    return Put(DISCOUNTS, (shop,), percent)


@query(otherwise=lambda shop, name: f"{shop}/{name}: ask the clerk")
def label(q: Asking, shop: str, name: str) -> str:
    """Return what the label says; a leaf that may fail."""
    good = q.get(GOODS, shop, name)
    if good is None:
        return f"{shop}/{name}: gone"
    if good.price < 0:
        raise ValueError(f"price {good.price}")
    if good.price % 10 == 9:  # reads the discount only sometimes, so reads come and go
        return f"{shop}/{name}: {good.price - (q.get(DISCOUNTS, shop) or 0)}"
    return f"{shop}/{name}: {good.price}"


@query
def shelf(q: Asking, shop: str) -> tuple[str, ...]:
    """Return all labels of a shop."""
    if not q.keys(BY_SHOP, shop):
        q.note(f"{shop} is empty")
    return tuple(q(label, str(s), str(n)) for s, n in q.keys(BY_SHOP, shop))


@query
def cheap(q: Asking, shop: str) -> bool:
    """Say whether a shop sells anything below 10: an answer that often comes out equal."""
    return any(0 <= good.price < 10 for good in q.by(BY_SHOP, shop))


@query
def catalogue(q: Asking, view: str) -> tuple[object, ...]:
    """Return everything, as one of several views sees it."""
    shops = [str(shop) for shop in q.buckets(BY_SHOP)]
    return (view, *((shop, q(shelf, shop), q(cheap, shop)) for shop in shops))


@query
def tagged(q: Asking, tag: str) -> tuple[str, ...]:
    """Return the labels of all goods that bear a tag."""
    return tuple(q(label, good.shop, good.name) for good in q.by(BY_TAG, tag))


def everything(engine: Engine) -> tuple[object, ...]:
    """Ask all there is to ask."""
    return (
        engine.ask(catalogue, "a"),
        engine.ask(catalogue, "b"),
        engine.ask(tagged, "red"),
        engine.ask(tagged, "blue"),
        engine.ask(shelf, "nowhere"),
        sorted(map(str, engine.notes(catalogue, "a"))),
    )
