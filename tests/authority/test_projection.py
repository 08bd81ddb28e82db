"""Which Pods get a token where nobody but us gives them one."""

from __future__ import annotations

from datetime import UTC, datetime

from pilotpy.authority.projection import Projection
from pilotpy.model.pod import Pod
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.sources.change import Change
from pilotpy_ca.keys import KeyType, PrivateKey
from pilotpy_ca.tokens import TokenIssuer

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def came(name: str, account: str = "web") -> Change:
    ref = Ref("Pod", "shop", name)
    pod = Resource(ref, Meta(name=name, namespace="shop"), Pod(service_account_name=account))
    return Change(ref, "a test", None, pod)


def test_a_pod_that_cannot_have_a_token_keeps_none_from_the_others(tmp_path, caplog):
    projection = Projection(tmp_path, TokenIssuer(PrivateKey.new(KeyType.P256)))
    projection.follow([came("a", "no/account"), came(".."), came("web")])
    projection.keep(b"roots", b"", NOW)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("istio-token")] == ["shop/web/istio-token"]
    assert [record.getMessage() for record in caplog.records] == ["a Pod gets no token"] * 2
