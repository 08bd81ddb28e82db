"""Principals under all names that a mesh goes by."""

import pytest

from pilotpy.mesh.trust_aliases import domains_in, principals_in, strange_domain

MESH = ("td1", "old-td", "some-td")
REST = "/ns/a/sa/b"


def under(*domains):
    return tuple(domain + REST for domain in domains)


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        pytest.param("td1" + REST, under(*MESH), id="the mesh's own name"),
        pytest.param("old-td" + REST, under(*MESH), id="one of its other names"),
        pytest.param("cluster.local" + REST, under(*MESH), id="the name that every mesh once had"),
        pytest.param("else" + REST, under("else"), id="the name of somebody else"),
        pytest.param("*" + REST, under("*"), id="any name"),
        pytest.param("*-td" + REST, ("td1" + REST, "*-td" + REST), id="a leading star covers names as they stand"),
        pytest.param("td*" + REST, under(*MESH), id="a trailing star is replaced"),
        pytest.param("*", ("*",), id="anybody"),
        pytest.param("td1/ns/a", ("td1/ns/a",), id="no principal of Istio's form"),
        pytest.param("/ns/a/sa/b", ("/ns/a/sa/b",), id="an empty name"),
    ],
)
def test_a_principal_is_meant_under_every_name(principal, expected):
    assert principals_in(MESH, [principal]) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param(["old-td"], MESH, id="one of the mesh's names stands for all"),
        pytest.param(["else", "td1"], ("else", *MESH), id="others stand for themselves"),
        pytest.param(["*-td"], ("*-td",), id="patterns stay"),
    ],
)
def test_a_trust_domain_is_meant_under_every_name(named, expected):
    assert domains_in(MESH, named) == expected


@pytest.mark.parametrize(
    ("principal", "strange"),
    [("else" + REST, "else"), ("td1" + REST, ""), ("cluster.local" + REST, ""), ("*lse" + REST, ""), ("else", "")],
)
def test_a_strange_domain_is_told(principal, strange):
    assert strange_domain(MESH, principal) == strange
