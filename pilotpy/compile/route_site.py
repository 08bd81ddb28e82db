"""What the translation of one HTTP rule may know beside the rule itself, and how it reports what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from pilotpy.compile.destinations import Target
from pilotpy.compile.route_settings import RouteSettings
from pilotpy.mesh.virtual_services import Rule
from pilotpy.model.resource import Finding, Ref, Severity
from pilotpy.model.virtual_service import Destination
from pilotpy_protos.envoy.config.route.v3.route_components_pb2 import Route

REFUSED: Final = "PP0422"  # sending requests on as they are might do harm: they are answered with 500
PASSED_OVER: Final = "PP0423"  # a value that cannot be: the default, or nothing, stands in
NOT_RE2: Final = "PP0425"  # a condition that Envoy would refuse


class Site(NamedTuple):
    """Where a rule is translated. Its functions record what they read and note, so they serve no other rule."""

    port: int  # of the listener
    source: Ref  # the VirtualService whose hosts these are; the rule may be its delegate's
    rule: Rule
    settings: RouteSettings
    target: Callable[[Destination], Target]
    note: Callable[[Finding], None]

    def report(self, field: str, message: str, hint: str, *, code: str, severity: Severity = Severity.ERROR) -> None:
        """Note what is wrong with a field of the rule ("retries.attempts"; "" for all of it), and what mends it."""
        path = ".".join(filter(None, (self.rule.field, field)))
        self.note(Finding(code=code, severity=severity, message=message, ref=self.rule.ref, field=path, hint=hint))

    def refuse(self, route: Route, field: str, message: str, hint: str, *, code: str = REFUSED) -> None:
        """Note what cannot be done and let the route answer 500: sending requests on as they are might do harm."""
        self.report(field, f"{message}; these requests are answered with 500", hint, code=code)
        route.direct_response.status = 500
