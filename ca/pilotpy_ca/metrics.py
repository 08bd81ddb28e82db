"""What an authority counts and how long its certificates last, under istiod's names, as values for any exporter.

Source: security/pkg/server/ca/monitoring.go, security/pkg/pki/ca of istio/istio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pilotpy_ca.keeper import Keeper


@dataclass(slots=True)
class Counts:
    """What happened since the process began."""

    requests: int = 0
    authentication_failures: int = 0
    signing_errors: dict[str, int] = field(default_factory=dict)  # by kind
    issued: int = 0
    turned_away: int = 0


class Sample(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    help: str
    labels: Mapping[str, str] = {}


def samples(keeper: Keeper, counts: Counts, now: datetime) -> Iterator[Sample]:
    """All metrics: counters first, then the ends of root and chain (the chain only where there is one)."""
    authority = keeper.authority
    yield Sample("citadel_server_csr_count", counts.requests, "Requests for certificates.")
    failures = counts.authentication_failures
    yield Sample("citadel_server_authentication_failure_count", failures, "Requests that nobody vouched for.")
    for kind, count in sorted(counts.signing_errors.items()):
        yield Sample("citadel_server_csr_sign_err_count", count, "Requests not signed, by reason.", {"error": kind})
    yield Sample("citadel_server_success_cert_issuance_count", counts.issued, "Certificates issued.")
    yield Sample("pilotpy_ca_turned_away", counts.turned_away, "Requests of callers who ask too often.")
    signer = authority.slots.active.signer
    ends = {"root_cert": signer.anchor.not_valid_after_utc}
    if not signer.self_signed:
        ends["cert_chain"] = min(above.not_valid_after_utc for above in signer.intermediates)
    for name, end in ends.items():
        left = (end - now).total_seconds()
        yield Sample(f"citadel_server_{name}_expiry_timestamp", end.timestamp(), "When it ends, in Unix time.")
        yield Sample(f"citadel_server_{name}_expiry_seconds", left, "Seconds until it ends; negative: it has.")
    yield Sample("pilotpy_ca_signers", len(authority.slots.all), "Signers whose roots are published.")
    yield Sample("pilotpy_ca_revoked", len(authority.revocations.certificates), "Revoked certificates.")
    yield Sample("pilotpy_ca_valid_certificates", len(authority.ledger), "Certificates issued that have not ended.")
    waited = "Who a step of a rotation waits for; 0: nobody, if that lasts. Not there: no step waits."
    for wait in keeper.waits():
        yield Sample("pilotpy_ca_rotation_waits", len(wait.holders), waited, {"step": wait.step})
