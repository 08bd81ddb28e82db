import pytest

from pilotpy.mesh.hosts import kubernetes_name, overlaps, specificity, whole, within, zones


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("reviews", "reviews.prod.svc.cluster.local", id="a short name is of the object's namespace"),
        pytest.param("Reviews", "reviews.prod.svc.cluster.local", id="case does not matter"),
        pytest.param("reviews.test", "reviews.test", id="a dot makes a name whole"),
        pytest.param("*", "*", id="everything stays everything"),
        pytest.param("*-v1", "*-v1", id="a wildcard without a dot stays"),
        pytest.param("10.0.0.1", "10.0.0.1", id="an IPv4 address stays"),
        pytest.param("fd00::1", "fd00::1", id="an IPv6 address stays though it has no dot"),
        pytest.param("", "", id="nothing stays nothing"),
    ],
)
def test_short_names_are_made_whole(host, expected):
    assert whole(host, "prod") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("a.b.svc.cluster.local", ("b", "a"), id="a service of the cluster"),
        pytest.param("a.svc.cluster.local", None, id="no namespace"),
        pytest.param("x.a.b.svc.cluster.local", None, id="the name of a pod"),
        pytest.param("*.b.svc.cluster.local", None, id="a wildcard"),
        pytest.param(".b.svc.cluster.local", None, id="no name"),
        pytest.param("a.b", None, id="of another domain"),
    ],
)
def test_cluster_hosts_name_services(host, expected):
    assert kubernetes_name(host) == expected


@pytest.mark.parametrize(
    ("host", "pattern", "expected"),
    [
        pytest.param("a.com", "a.com", True, id="a host matches itself"),
        pytest.param("b.a.com", "*.a.com", True, id="a wildcard matches what is below"),
        pytest.param("c.b.a.com", "*.a.com", True, id="at any depth"),
        pytest.param("a.com", "*.a.com", False, id="but not the domain itself"),
        pytest.param("ba.com", "*.a.com", False, id="nor a name that only ends alike"),
        pytest.param("x-v1.a.com", "*-v1.a.com", True, id="a wildcard inside a label"),
        pytest.param("a.com", "*", True, id="everything matches the star"),
        pytest.param("*.b.a.com", "*.a.com", True, id="a narrower wildcard is within a wider one"),
        pytest.param("*.a.com", "*.b.a.com", False, id="a wider one is not within a narrower"),
        pytest.param("*.a.com", "*.a.com", True, id="a wildcard is within itself"),
        pytest.param("*.a.com", "b.a.com", False, id="a wildcard is not within a host"),
        pytest.param("*", "*.a.com", False, id="the star is not within anything else"),
    ],
)
def test_a_host_is_within_a_pattern(host, pattern, expected):
    assert within(host, pattern) is expected


def test_overlap_has_no_direction():
    assert overlaps("*.a.com", "b.a.com")
    assert overlaps("b.a.com", "*.a.com")
    assert not overlaps("*.a.com", "*.b.com")


def test_zones_end_with_the_root():
    assert zones("a.b.com") == ("b.com", "com", "")
    assert zones("*") == ("",)


def test_exact_hosts_come_before_wildcards_and_longer_wildcards_first():
    assert sorted(["*", "*.com", "*.a.com", "b.a.com"], key=specificity) == ["b.a.com", "*.a.com", "*.com", "*"]
