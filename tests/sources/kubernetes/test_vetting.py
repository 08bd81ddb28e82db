"""Kubeconfigs that somebody put into a Secret: what they may say, and what they must not cost."""

import pytest

from pilotpy.sources.kubernetes.trouble import Unusable
from pilotpy.sources.kubernetes.vetting import vetted

FINE = "clusters: [{name: c, cluster: {server: 'https://a'}}]\nusers: [{name: u, user: {token: t}}]\n"


def laughing(levels, repeated):
    """Each level names the one below it nine times."""
    first = "a: &a {x: 1}\n"
    return first + "".join(
        f"{chr(98 + level)}: &{chr(98 + level)} {repeated(', '.join(['*' + chr(97 + level)] * 9))}\n"
        for level in range(levels)
    )


def test_a_kubeconfig_may_be_yaml_or_json():
    assert vetted(FINE.encode())["users"][0]["user"] == {"token": "t"}
    assert vetted(b'{"clusters": [], "users": []}') == {"clusters": [], "users": []}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[" * 100_000, "levels deep", id="it is deep enough to overflow a stack"),
        pytest.param("{a: " * 100_000, "levels deep", id="its mappings are deep"),
        pytest.param(laughing(12, "[{}]".format), "Aliases repeat", id="its aliases multiply"),
        pytest.param(laughing(12, "{{<<: [{}]}}".format), "Aliases repeat", id="its merged mappings multiply"),
        pytest.param("a: !!python/object/apply:os.abort []", "Tag", id="it names a class"),
        pytest.param("\x00\x01", "not YAML", id="it is binary"),
        pytest.param("", "no mapping", id="it is empty"),
        pytest.param("users: [{name: u, user: &a {exec: {}}}, {name: v, user: *a}]", "exec", id="an alias hides it"),
        pytest.param(
            "x: &x {tokenFile: /etc/passwd}\nusers: [{name: u, user: {<<: *x}}]", "tokenFile", id="it is merged in"
        ),
    ],
)
def test_a_kubeconfig_is_refused_if(text, words):
    with pytest.raises(Unusable, match=words):
        vetted(text.encode())
