"""From one value of a policy to Envoy's matcher of it. Every literal that enters an expression is quoted.

A value is ``*`` (anything but nothing), ``*x`` (ends with x), ``x*`` (begins with x), or exactly itself; the leading
star is looked for first, so that ``*x*`` ends with "x*". Source: istio/istio pilot/pkg/security/authz/matcher.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_interface

from pilotpy.compile.header_text import unfit_name
from pilotpy.compile.pieces import prefix_range
from pilotpy.schema.re2 import refusal
from pilotpy_protos.envoy.config.core.v3.address_pb2 import CidrRange
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from pilotpy_protos.envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from pilotpy_protos.envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from pilotpy_protos.envoy.type.matcher.v3.string_pb2 import StringMatcher
from pilotpy_protos.envoy.type.matcher.v3.value_pb2 import ListMatcher, OrMatcher, ValueMatcher

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")  # what means something to RE2
_LARGEST_PORT = 65535
_TEMPLATE = re.compile(r"(?:/(?:\*|\*\*|[\w\-.~%!$&'()+,;:@=]+))+/?", re.ASCII)
_LONGEST_TEMPLATE = 256


class Unusable(ValueError):
    """A value that no matcher can be made of; the message says why."""


def quoted(literal: str) -> str:
    """An expression that matches a text and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", literal)


def expression(regex: str) -> StringMatcher:
    """Texts that an expression matches as a whole. Raises `Unusable`."""
    if why := refusal(regex):
        raise Unusable(f"Envoy refuses the expression of it: {why}")
    return StringMatcher(safe_regex=RegexMatcher(regex=regex))


ANYTHING = expression(".+")


def text(value: str, *, ignore_case: bool = False) -> StringMatcher:
    """Texts that a value stands for."""
    if value == "*":
        return ANYTHING
    if value.startswith("*"):
        return StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    return StringMatcher(exact=value, ignore_case=ignore_case)


def header(name: str, value: str, *, ignore_case: bool = False) -> HeaderMatcher:
    """A header with a value; ``*``: that is there at all. Raises `Unusable`."""
    if why := unfit_name(name):
        raise Unusable(f"The name of a header {why}")
    if value == "*":
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=text(value, ignore_case=ignore_case))


def addresses(value: str) -> CidrRange:
    """An address, or a range of them. Raises `Unusable`."""
    why = f"{value!r} is neither an address nor a range of them"
    if "%" in value:  # a zone means something on one machine only
        raise Unusable(why)
    try:
        ip_interface(value)
        return prefix_range(value)
    except ValueError:
        raise Unusable(why) from None


def port(value: str) -> int:
    """A port's number. Raises `Unusable`."""
    if value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= _LARGEST_PORT:
        return int(value)
    raise Unusable(f"{value!r} is not a port")


def path_template(value: str) -> str:
    """A path template in Envoy's words, ``*`` and ``**``. Raises `Unusable`: others would stop Envoy."""
    template = value.replace("{*}", "*").replace("{**}", "**")
    one_any = re.search(r"/\*\*/(?:.*/)?\*", template) is None  # nothing varies after what is of any length
    if not _TEMPLATE.fullmatch(template) or not one_any or len(template) > _LONGEST_TEMPLATE:
        raise Unusable(f"{value[:100]!r} is no path template, /SEGMENT/{{*}}/{{**}}")
    return template


def metadata(filter_name: str, path: Sequence[str], value: ValueMatcher) -> MetadataMatcher:
    """What a filter has left about the request or connection."""
    steps = [MetadataMatcher.PathSegment(key=key) for key in path]
    return MetadataMatcher(filter=filter_name, path=steps, value=value)


def plain(value: str) -> ValueMatcher:
    """A text in metadata."""
    return ValueMatcher(string_match=text(value))


def listed(member: ValueMatcher) -> ValueMatcher:
    """A list in metadata that has such a member."""
    return ValueMatcher(list_match=ListMatcher(one_of=member))


def one_of(matchers: Sequence[ValueMatcher]) -> ValueMatcher:
    """Any of several; of one, that."""
    if len(matchers) == 1:
        return matchers[0]
    return ValueMatcher(or_match=OrMatcher(value_matchers=matchers))
