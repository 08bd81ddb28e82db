"""WasmPlugin and TrafficExtension: filters that Istio admits.

Source: istio/istio pkg/config/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from pilotpy.model import traffic_extension as traffic
from pilotpy.model import wasm_plugin as wasm
from pilotpy.model.resource import Resource
from pilotpy.schema.paths import below
from pilotpy.schema.problem import Problem, Problems
from pilotpy.schema.validation import names
from pilotpy.schema.validation.selectors import attachment

_SCHEMES: Final = frozenset({"", "file", "http", "https", "oci"})
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_LUA = 65536


def wasm_plugin(resource: Resource[wasm.WasmPlugin]) -> Problems:
    """What is wrong with a WasmPlugin."""
    spec = resource.spec
    yield from attachment(spec.selector, spec.target_ref, spec.target_refs, "spec")
    yield from _module(spec, "spec")
    yield from _match(spec.match, "spec.match")


def traffic_extension(resource: Resource[traffic.TrafficExtension]) -> Problems:
    """What is wrong with a TrafficExtension."""
    spec = resource.spec
    if (spec.wasm is None) == (spec.lua is None):
        yield Problem("spec", "Exactly one of wasm and lua is needed")
    yield from attachment(spec.selector, None, spec.target_refs, "spec")
    if spec.lua and not 0 < len(spec.lua.inline_code.encode(errors="replace")) <= _LARGEST_LUA:
        yield Problem("spec.lua.inlineCode", "The code is empty, or larger than 64 KiB")
    if spec.wasm:
        yield from _module(spec.wasm, "spec.wasm")
    yield from _match(spec.match, "spec.match")


def _module(module: wasm.WasmPlugin | traffic.WasmConfig, at: str) -> Problems:
    yield from _url(module.url, f"{at}.url")
    if module.sha256 and not _SHA256.fullmatch(module.sha256):
        yield Problem(
            f"{at}.sha256", "It is not a SHA-256 in lower case hexadecimal", "Write what sha256sum prints: 64 digits"
        )
    if len(module.image_pull_secret) > 253:
        yield Problem(f"{at}.imagePullSecret", "A Secret's name has at most 253 characters")
    if len(module.plugin_name) > 256:
        yield Problem(f"{at}.pluginName", "The name has at most 256 characters")
    seen: set[str] = set()
    for i, variable in enumerate(module.vm_config.env if module.vm_config else ()):
        here = below(f"{at}.vmConfig.env", i)
        if not variable.name or len(variable.name) > 256:
            yield Problem(f"{here}.name", "The variable's name is missing, or longer than 256 characters")
        if variable.name in seen:
            yield Problem(f"{here}.name", f"There are two variables {variable.name!r}")
        seen.add(variable.name)
        if variable.value_from != "INLINE" and variable.value:
            yield Problem(f"{here}.value", "There is a value only with valueFrom INLINE")


def _url(url: str, at: str) -> Problems:
    if not url:
        yield Problem(at, "The URL is missing")
        return
    try:
        scheme = urlsplit(url).scheme if "://" in url else ""
    except ValueError:
        scheme = None
    if scheme is None or _BAD_ESCAPE.search(url):
        yield Problem(at, f"{url!r} is not a URL", "Write it with its scheme: oci://registry.example/filter:v1")
    elif scheme not in _SCHEMES:
        yield Problem(at, f"{scheme!r} is none of file, http, https and oci", "Use one of these")


def _match(selectors: Sequence[wasm.TrafficSelector | traffic.TrafficSelector], at: str) -> Problems:
    for i, one in enumerate(selectors):
        for j, port in enumerate(one.ports):
            yield from names.port(port.number, f"{below(f'{below(at, i)}.ports', j)}.number")
