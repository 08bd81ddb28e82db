"""What an API server may say of a token, and what it is taken for: other clusters' servers may say what they like."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from pilotpy.kube.token_review import AT_ONCE, TokenReviews
from pilotpy_ca.authenticators import Credentials, Peer
from pilotpy_ca.errors import TokenError
from tests.waiting import until

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Saying:
    """An API server that says of every token that it is of a Pod."""

    def __init__(self, pod: str, account: str = "system:serviceaccount:shop:web") -> None:
        extra = {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": ["1"]}
        user = {"username": account, "groups": ["system:serviceaccounts"], "extra": extra}
        self.status = {"authenticated": True, "user": user, "audiences": ["istio-ca"]}

    async def ask(self, *_parts: object, **_more: object) -> bytes:
        return msgspec.json.encode({"status": self.status})


class Slow(Saying):
    """One that takes its time until it is told to go on."""

    def __init__(self) -> None:
        super().__init__("web-0")
        self.under_way, self.go_on = 0, asyncio.Event()

    async def ask(self, *parts: object, **more: object) -> bytes:
        self.under_way += 1
        await self.go_on.wait()
        return await super().ask(*parts, **more)


def reviews_by(**servers: Saying) -> TokenReviews:
    return TokenReviews(
        lambda name: servers.get(name or "home"),  # type: ignore[arg-type, return-value]  # as far as it is asked
        lambda: "cluster.local",
        lambda _: None,
    )


def of(cluster: str) -> Credentials:
    return Credentials(Peer("127.0.0.1:1"), "a token", cluster)


def caller(cluster: str, **servers: Saying):
    return asyncio.run(reviews_by(**servers).caller(of(cluster), NOW))


@pytest.mark.parametrize("said", ["", "home"])
def test_a_pod_at_home_goes_by_its_name_whatever_its_agent_says_of_its_cluster(said):
    assert caller(said, home=Saying("web-0")).holder == "web-0.shop"


@pytest.mark.parametrize("pod", ["web-0", "web-0@west", "web-0.shop", "x" * 253])
def test_no_pod_of_another_cluster_is_taken_for_one_at_home_or_elsewhere(pod):
    found = caller("east", home=Saying("web-0"), east=Saying(pod))
    assert found.holder == f"{pod}@east.shop"
    assert found.identities == ("spiffe://cluster.local/ns/shop/sa/web",)
    assert found.details["cluster"] == "east"


@pytest.mark.parametrize("pod", ["", "x" * 254], ids=["empty", "longer than any name"])
def test_what_cannot_be_the_name_of_a_pod_is_none(pod):
    assert caller("east", home=Saying("web-0"), east=Saying(pod)).holder == ""


@pytest.mark.parametrize(
    "account",
    [
        pytest.param("system:serviceaccount:shop/sa/web:web", id="more parts than there are"),
        pytest.param("system:serviceaccount:..:web", id="one above"),
        pytest.param("system:serviceaccount:shop:web:admin", id="a name too many"),
        pytest.param("system:node:worker-1", id="a node"),
    ],
)
def test_a_name_that_would_make_another_identity_is_refused(account):
    with pytest.raises(TokenError):
        caller("east", home=Saying("web-0"), east=Saying("web-0", account))


def test_a_crowd_with_tokens_is_no_crowd_at_the_api_server_and_keeps_nobody_of_other_clusters_waiting():
    async def play():
        east = Slow()
        reviews = reviews_by(home=Saying("web-0"), east=east)
        crowd = [asyncio.create_task(reviews.caller(of("east"), NOW)) for _ in range(AT_ONCE * 3)]
        await until(lambda: east.under_way >= AT_ONCE)
        assert (await reviews.caller(of("home"), NOW)).holder == "web-0.shop"
        assert east.under_way == AT_ONCE
        east.go_on.set()
        assert {one.holder for one in await asyncio.gather(*crowd)} == {"web-0@east.shop"}

    asyncio.run(play())
