"""Names in a pod's hosts file."""

from pilotpy.lab.names import hosts_file, names
from pilotpy.model.pod import HostAlias
from tests.lab.pods import pod, service

A = pod("a", "10.44.1.1")


def lines(one, known):
    return hosts_file(one, known).splitlines()


def test_a_service_of_the_same_namespace_has_its_short_name():
    known = names([service("b", "10.96.0.1")], [])
    assert "10.96.0.1 b.default.svc.cluster.local b.default.svc b.default b" in lines(A, known)


def test_a_service_of_another_namespace_needs_it_in_its_name():
    known = names([service("b", "10.96.0.1", namespace="other")], [])
    assert "10.96.0.1 b.other.svc.cluster.local b.other.svc b.other" in lines(A, known)


def test_a_headless_service_leads_to_its_pods():
    found = names([service("b", "None", selector={"app": "b"})], [A, pod("b", "10.44.1.2"), pod("c", "10.44.1.3")])
    assert [(name.host, name.address) for name in found] == [("b", "10.44.1.2")]


def test_a_numbered_pod_has_a_name_of_its_own():
    one = pod("b-0", "10.44.1.2", labels={"app": "b"}, hostname="b-0", subdomain="b")
    found = names([service("b", "None", selector={"app": "b"})], [one])
    assert [(name.host, name.address) for name in found] == [("b", "10.44.1.2"), ("b-0.b", "10.44.1.2")]


def test_a_pod_knows_itself_and_its_aliases():
    one = pod("a", "10.44.1.1", host_aliases=(HostAlias(ip="1.2.3.4", hostnames=("x", "y")),))
    assert {"127.0.0.1 localhost", "10.44.1.1 a", "1.2.3.4 x y"} <= set(lines(one, ()))


def test_a_service_without_an_address_has_no_name():
    assert names([service("b", "")], []) == ()
