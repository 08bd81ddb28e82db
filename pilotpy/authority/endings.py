"""What of the mesh's authority ends soon, as findings: without it nobody gets a certificate."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pilotpy.model.resource import Finding, Severity
from pilotpy_ca.keeper import Keeper
from pilotpy_ca.status import Ending, ending_soon

ENDING: Final = "PP0602"

_RENEWED: Final = "see in the log why it was not renewed, as it is by itself, or begin another with pilotpy ca rotate"
_REPLACED: Final = "put files of a signer that lasts longer in their place"


def ending_findings(keeper: Keeper, now: datetime) -> tuple[Finding, ...]:
    """A finding for each certificate of the signers' chains that has ended or ends within a month; may be empty."""
    return tuple(_finding(ending, keeper.given_in, now) for ending in ending_soon(keeper, now))


def _finding(ending: Ending, given_in: str, now: datetime) -> Finding:
    over = ending.ends <= now
    whose = f"{ending.subject} of {given_in}" if given_in else ending.subject
    return Finding(
        code=ENDING,
        severity=Severity.ERROR if over else Severity.WARNING,
        message=f"The authority {whose} {'ended' if over else 'ends'} on {ending.ends:%Y-%m-%d %H:%M} UTC"
        + (": nobody gets a certificate" if over else ", and with it all certificates by it"),
        hint=_REPLACED if given_in else _RENEWED,
        file=given_in,
    )
