"""A kubeconfig that somebody put into a Secret: it may say where to go and what to show there, and no more.

It must not start programs here, nor read files of this machine. Source: istio pkg/kube/multicluster/secretcontroller.go
(sanitizeKubeConfig).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotpy.schema import yaml
from pilotpy.sources.kubernetes.trouble import Unusable

_OF_USERS = ("exec", "tokenFile", "client-certificate", "client-key", "auth-provider")
_OF_CLUSTERS = ("certificate-authority",)


def vetted(text: bytes) -> Mapping[str, Any]:
    """The kubeconfig, decoded. Raises `Unusable`, which says what it must not have."""
    try:  # not with PyYAML's loaders: they can be made to run for ever, and to overflow the stack
        written, _ = next(yaml.values(text.decode()), (None, 0))
    except (yaml.Refused, UnicodeDecodeError) as error:
        raise Unusable(f"the kubeconfig is not YAML: {str(error)[:200]}") from error
    if not isinstance(written, Mapping):
        raise Unusable("the kubeconfig is no mapping")
    for part, member, refused in (("users", "user", _OF_USERS), ("clusters", "cluster", _OF_CLUSTERS)):
        for one in _members(written.get(part), member):
            if found := [field for field in refused if field in one]:
                raise Unusable(
                    f"the kubeconfig must not have {part}[*].{member}.{found[0]}: write what it names into it"
                )
    return written


def _members(listed: Any, member: str) -> list[Mapping[str, Any]]:
    named = [one.get(member) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return [one for one in named if isinstance(one, Mapping)]
