"""Names of clusters, there and back."""

import pytest

from pilotpy.compile.naming import OutboundName, cluster_name, default_sni, inbound_cluster_name, outbound_name

HOST = "reviews.default.svc.cluster.local"


def test_names_are_istiods():
    assert cluster_name(9080, "", HOST) == f"outbound|9080||{HOST}"
    assert cluster_name(9080, "v1", HOST) == f"outbound|9080|v1|{HOST}"
    assert inbound_cluster_name(8080) == "inbound|8080||"
    assert default_sni(9080, "", HOST) == f"outbound_.9080_._.{HOST}"


@pytest.mark.parametrize("spelt", [cluster_name, default_sni])
@pytest.mark.parametrize("subset", ["", "v1", "with_underscore"])
def test_an_outbound_name_is_read_in_either_spelling(spelt, subset):
    assert outbound_name(spelt(9080, subset, HOST)) == OutboundName(9080, subset, HOST)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="nothing"),
        pytest.param("inbound|8080||", id="an inbound cluster"),
        pytest.param("BlackHoleCluster", id="a cluster of its own"),
        pytest.param("outbound|9080|v1", id="too few parts"),
        pytest.param("outbound|http||a", id="a port that is no number"),
        pytest.param("outbound|²||a", id="a digit of another kind"),
        pytest.param("outbound|0||a", id="no port"),
        pytest.param("outbound|65536||a", id="a port too large"),
        pytest.param("outbound|" + "9" * 100_000 + "||a", id="a port without end"),
        pytest.param("outbound|80||", id="no host"),
    ],
)
def test_what_is_no_outbound_name_is_none(name):
    assert outbound_name(name) is None
