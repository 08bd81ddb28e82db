r"""Names, ports and headers, in the forms that the Gateway API lets them have.

Expressions end in \Z, because $ would let a line end follow.

Source: kubernetes-sigs/gateway-api apis/v1/shared_types.go and httproute_types.go.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
HOSTNAME: Final = rf"^(\*\.)?{_DOMAIN}\Z"

Group = Annotated[
    str, Meta(max_length=253, pattern=rf"^({_DOMAIN})?\Z", description='an API group such as apps, or "" for core')
]
Kind = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=63,
        pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z",
        description="a kind such as Service",
    ),
]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253, description="the name of an object")]
Namespace = Annotated[
    str, Meta(min_length=1, max_length=63, pattern=rf"^{_LABEL}\Z", description="the name of a namespace")
]
SectionName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{_DOMAIN}\Z",
        description="a name of small letters, digits, dashes and dots",
    ),
]
Hostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=HOSTNAME,
        description="a host name in small letters, such as shop.example.com or *.example.com",
    ),
]
PreciseHostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{_DOMAIN}\Z",
        description="a host name in small letters, without wildcards, such as shop.example.com",
    ),
]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]

HeaderName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+\Z",
        description="the name of a header, such as x-request-id",
    ),
]
HeaderValue = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        pattern=r"^[!-~]+([\t ][!-~]+)*\Z",
        description="a value of a header: visible ASCII, with single spaces between words",
    ),
]

AnnotationValue = Annotated[str, Meta(max_length=4096)]
LabelValue = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z",
        description="a label's value",
    ),
]
"""Of labels and annotations that go to what is made for a Gateway."""
