"""A lab on a terminal: its pods, what is wrong with its manifests, and what to try next."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pilotpy.lab.state import PodRecord, State
from pilotpy.lab.supervisor import Lab, Plane
from pilotpy.model.resource import Finding
from pilotpy.tell import alike

_MOST = 20


def pod_lines(pods: Iterable[PodRecord]) -> Iterator[str]:
    """A table of pods, its head first, in columns as wide as need be."""
    head = ("POD", "NAMESPACE", "ADDRESS", "SERVICE ACCOUNT", "PORTS", "SIDECAR", "STATE")
    rows = [
        (
            pod.name,
            pod.namespace,
            pod.address,
            pod.service_account,
            ",".join(map(str, pod.ports)),
            "envoy" if pod.sidecar else "none",
            pod.state,
        )
        for pod in pods
    ]
    if not rows:
        yield "there are no Pods, nor workloads that make any"
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each finding, the first few, and for many that say the same of a kind; may be none."""
    found = alike(dict.fromkeys(findings))
    for finding, *rest in found[:_MOST]:
        subject = f" ({finding.ref})" if finding.ref else ""
        where = f" ({finding.file}:{finding.line})" if finding.file else ""
        field = f" ({finding.field})" if finding.field else ""
        hint = f". {finding.hint}" if finding.hint else ""
        more = f" (and {len(rest)} more of this kind)" if rest else ""
        yield f"{finding.severity.value} [{finding.code}]{subject}{where} {finding.message}{field}{hint}{more}"
    if len(found) > _MOST:
        yield f"... and {len(found) - _MOST} more: pilotpy analyze"


async def tell_findings(lab: Lab, plane: Plane, say: Callable[[str], None]) -> None:
    """Say what is wrong with manifests, each once while it lasts, until cancelled."""
    told: frozenset[Finding] = frozenset()
    while True:
        now = dict.fromkeys(plane.findings)
        # A server that is gone is one thing to know, in however many ways it is met with.
        met = {one.code for one in told if _is_general(one)}
        first = {one.code: one for one in reversed(now) if _is_general(one) and one.code not in met}
        new = (one for one in now if one not in told and (not _is_general(one) or one is first.get(one.code)))
        for line in finding_lines(new):
            say(line)
        told = frozenset(now)
        await lab.stirred()


def _is_general(finding: Finding) -> bool:
    return finding.ref is None and not finding.file


def facts(lab: State) -> Iterator[str]:
    """What else there is to know of a running lab."""
    authority = f"; what it knows of certificates: {_authority(lab)}" if lab.keys else ""
    yield f"the control plane is {'up' if lab.plane else 'gone'}{authority}"
    if lab.kubeconfig:
        yield f"export KUBECONFIG={lab.kubeconfig}"
    yield from (f"{name} is at {url}" for name, url in lab.urls.items())


def try_next(lab: State, target: str) -> Iterator[str]:
    """Commands that work on a running lab from another shell. ``target``: URL that a pod can reach, or ""."""
    yield from (f"{name} is at {url}" for name, url in lab.urls.items())
    pilotpy = _program()
    yield "In another shell:"
    if lab.kubeconfig:
        yield f"  export KUBECONFIG={lab.kubeconfig}"
        yield "  kubectl get pods --all-namespaces -o wide"
    yield f"  {pilotpy} lab status"
    if lab.keys:
        yield f"  {_authority(lab)}"
    if lab.pods:
        name = lab.pods[0].name
        if target:
            yield f"  {pilotpy} lab curl {name} {target}"
        yield f"  {pilotpy} lab exec {name} -- sh"
    edit = f"Edit what is in {' '.join(lab.folders)} and watch. " if lab.folders else ""
    yield f"{edit}To end it: Ctrl-C where it runs, or {pilotpy} lab down"


def _authority(lab: State) -> str:
    return f"{_program()} ca show --dir {lab.keys}"


def _program() -> str:
    """What a shell calls us: by name where its PATH has us."""
    ours = Path(sys.executable).with_name("pilotpy")
    return "pilotpy" if shutil.which("pilotpy") or not ours.exists() else os.path.relpath(ours)
