"""What can go wrong with an API server.

Trouble
├── Unreachable   no answer, or half of one
├── Refused       an answer that is an error
├── Unpermitted   what the asker may not ask, and does without
├── TooMuch       an answer that is larger than it may be
└── Unusable      nothing to log in with
"""

from __future__ import annotations

from datetime import timedelta


class Trouble(Exception):
    """An API server did not do what it was asked. Worth another try, unless the asker knows better."""


class Unreachable(Trouble):
    """It did not answer, or stopped in the middle of an answer."""


class Refused(Trouble):
    """It answered with an error."""

    def __init__(self, status: int, message: str, reason: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status  # of HTTP
        self.reason = reason  # in the API's words: "Expired", "AlreadyExists"; "" if it does not say
        self.retry_after = retry_after


class Unpermitted(Trouble):
    """It is not for the asker to know; there is nothing to wait for."""


class TooMuch(Trouble):
    """It says more than is listened to."""


class Unusable(Trouble):
    """There is no way to log in: no kubeconfig, or one that is broken."""
