"""Sessions that stay with one backend.

Source: kubernetes-sigs/gateway-api apis/v1/shared_types.go (SessionPersistence).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pilotpy.model.message import Declared, ShortDuration


class CookieConfig(Declared, frozen=True):
    """How long a browser keeps a session's cookie: till it is shut, or as long as the session lasts."""

    lifetime_type: Literal["Permanent", "Session"] = "Session"


class SessionPersistence(Declared, frozen=True):
    """How requests of one session are known."""

    session_name: Annotated[str, Meta(max_length=128)] = ""  # of cookie or header; "": any
    absolute_timeout: ShortDuration | None = None  # None: none
    idle_timeout: ShortDuration | None = None  # None: none
    type: Literal["Cookie", "Header"] = "Cookie"
    cookie_config: CookieConfig | None = None
