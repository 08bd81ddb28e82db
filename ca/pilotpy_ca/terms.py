"""How long things last, and who may be named: what the people who run a mesh decide about its authority.

Source of the defaults: security/pkg/pki/ca and pilot/pkg/bootstrap/istio_ca.go of istio/istio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from pilotpy_ca.keys import KeyType


@dataclass(frozen=True, slots=True)
class Terms:
    """All of it. Spans are real time; `at_speed` gives the same in a hurry."""

    trust_domain: str = "cluster.local"
    default_life: timedelta = timedelta(hours=24)  # of a workload's certificate
    longest_life: timedelta = timedelta(days=90)
    root_life: timedelta = timedelta(days=3650)  # of a self-signed root
    server_life: timedelta = timedelta(days=90)  # of the control plane's own certificate
    renewal_share: float = 0.2  # of a root's life: with less than this left, it is renewed
    settle: timedelta = timedelta(seconds=30)  # that evidence must hold before a rotation goes on
    key_type: KeyType = KeyType.RSA_2048  # of self-signed roots
    multi_root: bool = False  # whether plugged-in roots may be replaced while running, by way of a set with both

    def at_speed(self, speed: float) -> Terms:
        """The same terms for a mesh that lives `speed` times as fast: certificates are valid in real time, for less.

        No less than a second for any of them.
        """
        second = timedelta(seconds=1)
        return replace(
            self,
            default_life=max(self.default_life / speed, second),
            longest_life=max(self.longest_life / speed, second),
            root_life=max(self.root_life / speed, second),
            server_life=max(self.server_life / speed, second),
            settle=max(self.settle / speed, second),
        )
