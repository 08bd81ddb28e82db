"""The mesh configuration: from the ConfigMap "istio" or a file to a MeshConfig with all defaults.

What is written replaces the default field by field, except where istiod merges: defaultConfig and
defaultProviders field by field, extensionProviders by name.
Source: istio/istio pkg/config/mesh/mesh.go, ApplyMeshConfig.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from pilotpy.model.extension_provider import DEFAULT_PROVIDERS, ExtensionProvider
from pilotpy.model.mesh_config import MeshConfig
from pilotpy.model.mesh_networks import MeshNetworks
from pilotpy.model.mesh_proxy_config import ProxyConfig
from pilotpy.model.message import Message
from pilotpy.model.resource import Finding, Severity
from pilotpy.schema.documents import Lines, documents
from pilotpy.schema.paths import remove
from pilotpy.schema.problem import Problem, Problems, bounded
from pilotpy.schema.problems import custom, problems, without_nulls
from pilotpy.schema.unsupported import unsupported_networks, unsupported_settings
from pilotpy.schema.validation.mesh_config import mesh, networks
from pilotpy.schema.validation.mesh_proxy_config import proxy_settings

T = TypeVar("T", bound=Message)


class ReadMesh(NamedTuple):
    """What became of a mesh configuration."""

    config: MeshConfig | None  # None: refused
    findings: list[Finding]  # with file and line


class ReadProxy(NamedTuple):
    """What became of the settings that a proxy was started with."""

    config: ProxyConfig | None  # None: refused
    findings: list[Finding]  # with file and line


class ReadNetworks(NamedTuple):
    """What became of the networks of a mesh."""

    networks: MeshNetworks | None  # None: refused
    findings: list[Finding]  # with file and line


def mesh_config(text: bytes | str, file: str) -> ReadMesh:
    """The configuration that a YAML text describes; empty text is all defaults. Never raises."""
    config, findings = _read(text, file, MeshConfig, _mesh)
    if config is None:
        return ReadMesh(None, findings)
    merged = msgspec.structs.replace(
        config,
        extension_providers=_merged(config.extension_providers),
        trust_domain_aliases=tuple(sorted(set(config.trust_domain_aliases))),
    )
    return ReadMesh(merged, findings)


def proxy_config(text: bytes | str, file: str) -> ReadProxy:
    """The settings of a proxy that a YAML or JSON text describes. Never raises."""
    return ReadProxy(*_read(text, file, ProxyConfig, lambda config: proxy_settings(config, "proxyConfig")))


def mesh_networks(text: bytes | str, file: str) -> ReadNetworks:
    """The networks that a YAML text describes; empty text is none. Never raises."""
    return ReadNetworks(*_read(text, file, MeshNetworks, _networks))


def _mesh(config: MeshConfig) -> Problems:
    yield from mesh(config)
    yield from unsupported_settings(config)


def _networks(found: MeshNetworks) -> Problems:
    yield from networks(found)
    yield from unsupported_networks(found)


def _merged(written: tuple[ExtensionProvider, ...]) -> tuple[ExtensionProvider, ...]:
    by_name = {provider.name: provider for provider in (*DEFAULT_PROVIDERS, *written)}
    return tuple(by_name.values())


def _read(
    text: bytes | str, file: str, expected: type[T], check: Callable[[T], Problems]
) -> tuple[T | None, list[Finding]]:
    found = documents(text, file)
    if found.findings:
        return None, list(found.findings)
    if not found.objects:
        return expected(), []
    written, lines = found.objects[0]
    wrong = bounded(problems(written, expected, ""))
    if any(problem.severity is Severity.ERROR for problem in wrong):
        return None, [_located(problem, lines) for problem in wrong]
    raw = without_nulls(written)
    for problem in wrong:
        remove(raw, problem.field)
    config = msgspec.convert(raw, expected, dec_hook=custom)
    wrong += bounded(check(config))
    usable = all(problem.severity is not Severity.ERROR for problem in wrong)
    return config if usable else None, [_located(problem, lines) for problem in wrong]


def _located(problem: Problem, lines: Lines) -> Finding:
    return problem.finding(None, lines.file, lines.line(problem.field))
