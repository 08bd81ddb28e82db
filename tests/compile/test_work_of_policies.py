"""What an edit of a policy costs, counted: the same in a mesh of a thousand services and of ten thousand."""

import pytest

from pilotpy.compile.collection import CLUSTERS, LISTENERS
from pilotpy.compile.collections import COLLECTIONS
from pilotpy.engine import Engine, Put, Work
from pilotpy.mesh.kinds import AUTHORIZATION_POLICIES, PROXIES
from pilotpy.mesh.proxy import Proxy
from pilotpy.mesh.views import view
from pilotpy.model.authorization_policy import AuthorizationPolicy, From, Rule, Source
from pilotpy.model.resource import Meta, Ref, Resource
from pilotpy.model.selector import WorkloadSelector
from tests.compile.crowd import crowd, home

SIZES = [pytest.param(1_000, id="a thousand services"), pytest.param(10_000, id="ten thousand")]
SEEN = ("a-1", "a-2", "b-1")


def policy(name: str, account: str, **labels: str) -> Put:
    ref = Ref("AuthorizationPolicy", home(0), name)
    rule = Rule(from_=(From(source=Source(service_accounts=(account,))),))
    selector = WorkloadSelector(match_labels=labels) if labels else None
    spec = AuthorizationPolicy(selector=selector, rules=(rule,))
    meta = Meta(name=name, namespace=ref.namespace)
    return Put(AUTHORIZATION_POLICIES, (ref.namespace, name), Resource(ref, meta, spec))


def proxy(name: str) -> Put:
    labels = (("app", name.partition("-")[0]),)
    known = Proxy(id=name, type="sidecar", ips=("10.200.0.1",), name=name, namespace=home(0), labels=labels)
    return Put(PROXIES, (name,), known)


def compiled(engine: Engine, url: str) -> list[object]:
    query, facets = COLLECTIONS[url]
    return [engine.ask(query, *facets(engine.ask(view, name))) for name in SEEN]


def work(engine: Engine, put: Put) -> Work:
    engine.apply([put])
    before = engine.work.copy()
    for url in (LISTENERS, CLUSTERS):
        compiled(engine, url)
    return engine.work.since(before)


@pytest.fixture(scope="module", params=SIZES)
def warm(request):
    engine = crowd(request.param, endpoints=1)
    engine.apply([*map(proxy, SEEN), policy("all", "one"), policy("some", "one", app="a")])
    for url in (LISTENERS, CLUSTERS):
        compiled(engine, url)
    return engine


def test_replicas_share_their_listeners(warm):
    first, second, other = compiled(warm, LISTENERS)
    assert first is second
    assert first != other


def test_an_edit_of_a_rule_runs_what_it_is_about(warm):
    before = compiled(warm, LISTENERS)
    # Whom it is for and its rules on either wire; the guard and what listens, for one of the two sets of policies.
    assert work(warm, policy("some", "two", app="a")).runs <= 7
    after = compiled(warm, LISTENERS)
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, True, False]


def test_a_policy_for_others_runs_next_to_nothing(warm):
    assert work(warm, policy("rest", "one", app="c")).runs <= 4


def test_a_policy_more_leaves_clusters_alone(warm):
    before = compiled(warm, CLUSTERS)
    work(warm, policy("more", "one"))
    assert all(old is new for old, new in zip(before, compiled(warm, CLUSTERS), strict=True))
