"""A lab on a terminal: its pods, what is wrong with its manifests, and what to try next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.markup import escape
from rich.table import Table

from pilotpy.lab.supervisor import Lab, Order
from pilotpy.model.resource import Finding, Severity

_MOST = 20
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def pod_table(lab: Lab) -> Table:
    """Every running pod: where, as whom, with which ports."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("POD", "NAMESPACE", "ADDRESS", "SERVICE ACCOUNT", "PORTS", "SIDECAR", "STATE"):
        table.add_column(column, no_wrap=True)
    for ref, running in sorted(lab.kubelet.running.items()):
        plan = running.plan
        table.add_row(
            ref.name,
            ref.namespace,
            plan.address,
            str(plan.identity["serviceAccount"]),
            ",".join(map(str, plan.ports)),
            "envoy" if plan.start else "none",
            running.state.value,
        )
    return table


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each finding, the first few; may be none."""
    found = list(findings)
    for finding in found[:_MOST]:
        colour = _COLOURS[finding.severity]
        where = f"{finding.file}:{finding.line}" if finding.file else str(finding.ref or "")
        text = f"[{colour}]{finding.severity.value}[/] {escape(f'[{finding.code}]')} {escape(finding.message)}"
        yield f"{text} [dim]{escape(where)}[/]"
    if len(found) > _MOST:
        yield f"... and {len(found) - _MOST} more: pilotpy analyze"


def try_next(lab: Lab, order: Order) -> str:
    """Commands that work on this lab from another shell."""
    pods = sorted(lab.kubelet.running)
    services = sorted(service.ref for service in lab.plane.services() if service.spec.ports)
    lines = ["", "In another shell:", "  pilotpy lab status"]
    if pods and services:
        ports = {service.ref: service.spec.ports[0].port for service in lab.plane.services() if service.spec.ports}
        target = services[-1]
        short = target.name if target.namespace == pods[0].namespace else f"{target.name}.{target.namespace}"
        lines.append(f"  pilotpy lab curl {pods[0].name} http://{short}:{ports[target]}/")
        lines.append(f"  pilotpy lab exec {pods[0].name} -- sh")
    lines.append(f"Edit what is in {' '.join(order.folders)} and watch. Ctrl-C takes everything down.")
    return "\n".join([*(f"{port.service}.{port.namespace} is at {port.url}" for port in order.ports), *lines])
