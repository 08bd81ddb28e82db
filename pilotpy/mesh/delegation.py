"""From a rule that delegates and a rule of its delegate to the one rule that both amount to.

The delegate's fields win; a match of the delegate counts only within a match of the root.
Source: istiod's ``pilot/pkg/model/virtualservice.go``, ``MergeHTTPRoutes``.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from pilotpy.model.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch


def merged(root: HTTPRoute, delegate: HTTPRoute) -> HTTPRoute | None:
    """The delegate's rule with what it leaves to the root; None if one of its matches lies outside the root's."""
    match = _matches(root.match, delegate.match)
    if match is None:
        return None
    return replace(
        delegate,
        match=match,
        name=_joined(root.name, delegate.name),
        rewrite=delegate.rewrite or root.rewrite,
        direct_response=delegate.direct_response or root.direct_response,
        timeout=root.timeout if delegate.timeout is None else delegate.timeout,
        retries=delegate.retries or root.retries,
        fault=delegate.fault or root.fault,
        mirror=delegate.mirror or root.mirror,
        mirror_percent=root.mirror_percent if delegate.mirror_percent is None else delegate.mirror_percent,
        mirror_percentage=delegate.mirror_percentage or root.mirror_percentage,
        mirrors=delegate.mirrors or root.mirrors,
        cors_policy=delegate.cors_policy or root.cors_policy,
        headers=delegate.headers or root.headers,
    )


def _matches(
    root: tuple[HTTPMatchRequest, ...], delegate: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    if not root or not delegate:
        return root or delegate
    out: list[HTTPMatchRequest] = []
    for inner in delegate:
        within = [_match(outer, inner) for outer in root if not _conflict(outer, inner)]
        if not within:
            return None
        out += within
    return tuple(out)


def _match(root: HTTPMatchRequest, delegate: HTTPMatchRequest) -> HTTPMatchRequest:
    return replace(
        delegate,
        name=_joined(root.name, delegate.name),
        uri=delegate.uri or root.uri,
        scheme=delegate.scheme or root.scheme,
        method=delegate.method or root.method,
        authority=delegate.authority or root.authority,
        headers={**root.headers, **delegate.headers},
        without_headers={**root.without_headers, **delegate.without_headers},
        query_params={**root.query_params, **delegate.query_params},
        port=delegate.port or root.port,
        source_labels={**root.source_labels, **delegate.source_labels},
        source_namespace=delegate.source_namespace or root.source_namespace,
        gateways=delegate.gateways or root.gateways,
        stat_prefix=delegate.stat_prefix or root.stat_prefix,
    )


def _conflict(root: HTTPMatchRequest, inner: HTTPMatchRequest) -> bool:
    return (
        _outside(root.uri, inner.uri)
        or _outside(root.scheme, inner.scheme)
        or _outside(root.method, inner.method)
        or _outside(root.authority, inner.authority)
        or _any_outside(root.headers, inner.headers)
        or _any_outside(root.without_headers, inner.without_headers)
        or _any_outside(root.query_params, inner.query_params)
        or root.ignore_uri_case != inner.ignore_uri_case
        or (0 not in {root.port, inner.port} and root.port != inner.port)
        or root.source_namespace not in {"", inner.source_namespace}
        or any(root.source_labels.get(key, value) != value for key, value in inner.source_labels.items())
        or (bool(root.gateways) and not set(inner.gateways) <= set(root.gateways))
    )


def _any_outside(root: Mapping[str, StringMatch], inner: Mapping[str, StringMatch]) -> bool:
    return any(_outside(root.get(name), match) for name, match in inner.items())


def _outside(root: StringMatch | None, inner: StringMatch | None) -> bool:
    """Whether a condition does not narrow the root's. What cannot be compared does not."""
    if root is None or inner is None:
        return False
    if root.exact:
        return inner.exact != root.exact
    if root.prefix:
        return not (inner.exact or inner.prefix or "").startswith(root.prefix)
    return True


def _joined(root: str, delegate: str) -> str:
    return f"{root}-{delegate}" if root and delegate else root or delegate
