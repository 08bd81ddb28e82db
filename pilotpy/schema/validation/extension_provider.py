"""MeshConfig's extensionProviders: only warned about, because none matters until it is used.

Source: istio/istio pkg/config/validation/agent/extensionprovider.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pilotpy.model.extension_provider import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    ExtensionProvider,
)
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems, warning
from pilotpy.schema.validation import names

_WITHOUT_SERVICE = frozenset({"prometheus", "stackdriver", "envoyFileAccessLog"})


def extension_providers(providers: Sequence[ExtensionProvider], at: str) -> Problems:
    """What is wrong with providers, as warnings."""
    seen: set[str] = set()
    for i, provider in enumerate(providers):
        here = below(at, i)
        if not provider.name:
            yield warning(f"{here}.name", "The provider's name is missing")
        elif provider.name in seen:
            yield warning(f"{here}.name", f"There are two providers {provider.name!r}")
        seen.add(provider.name)
        for problem in _provider(provider, here):
            yield warning(problem.field, problem.message, problem.hint)


def _provider(provider: ExtensionProvider, at: str) -> Problems:
    chosen = next(_chosen(provider), None)
    if chosen is None:
        yield Problem(at, "What kind of provider it is, is missing")
        return
    field, own = chosen
    here = f"{at}.{field}"
    if field not in _WITHOUT_SERVICE:
        yield from _service(own.service, f"{here}.service")
        yield from names.port(own.port, f"{here}.port")
    if field == "lightstep" and not own.access_token:
        yield Problem(f"{here}.accessToken", "The token is missing")
    if field == "opentelemetry" and own.http and own.grpc:
        yield Problem(here, "Only one of http and grpc may be set")
    if isinstance(own, EnvoyExternalAuthorizationHttpProvider | EnvoyExternalAuthorizationGrpcProvider):
        yield from _status(own.status_on_error, f"{here}.statusOnError")
    if isinstance(own, EnvoyExternalAuthorizationHttpProvider) and own.path_prefix[:1] not in {"", "/"}:
        yield Problem(f"{here}.pathPrefix", "A prefix begins with /")


def _chosen(provider: ExtensionProvider) -> Iterator[tuple[str, Any]]:
    cls = type(provider)
    for name, field in zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True):
        if field != "name" and (own := getattr(provider, field)) is not None:
            yield name, own


def _service(service: str, at: str) -> Problems:
    if "/" in service:
        yield from names.namespaced_host(service, at, gateway=False)
    elif not names.is_address(service):
        yield from names.domain(service, at)


def _status(text: str, at: str) -> Problems:
    if text and not (text.isascii() and text.isdigit() and 100 <= int(text[:4]) <= 511):
        yield Problem(at, f"{text!r} is not a status of HTTP", "Write a number such as 403")
