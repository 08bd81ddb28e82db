"""What stands beside an application: from a plan to the agent, in this process, and to the Envoy that it serves.

One process is the agent of all pods: a process for each would take 67 MB, one more pod in this one takes a quarter of
a megabyte (``make bench ARGS=agent``). Sockets with a path are open to every network namespace, so that agent and Envoy
meet in the file system; what the agent has open inside the pod (15020) it makes in the pod's network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilotpy.agent.bootstrap import bootstrap_text
from pilotpy.agent.network import PodNetwork
from pilotpy.agent.pod_agent import PodAgent
from pilotpy.agent.settings import AgentSettings
from pilotpy.lab import state
from pilotpy.lab.plan import ENVOY_USER, SDS_SOCKET, XDS_SOCKET, Plan


class Machine(NamedTuple):
    """What all pods of a lab have in common."""

    state: Path  # hosts files and logs; nothing in it outlives its lab
    folder: Path  # where applications are started
    envoy: int  # file descriptor of the program: its path may lead through folders that its user may not enter
    as_root: bool  # there are users, so Envoy gets its own
    packages: str  # where an application finds the HTTP/2 library


def agent_of(plan: Plan, machine: Machine, folder: Path, network: PodNetwork) -> PodAgent:
    """The agent of a Pod that has a sidecar. ``folder``: of its own. Raises Wrong for what annotations say."""
    settings = AgentSettings.of(plan.agent)
    projected = machine.state / state.PROJECTED
    proof = {"roots": projected / "root-cert.pem", "token": token_file(plan, machine)}
    resolver = settings.resolver and msgspec.structs.replace(settings.resolver, servers=())  # there is nobody to ask
    settings = msgspec.structs.replace(
        settings,
        plane=msgspec.structs.replace(settings.plane, **proof),
        authority=msgspec.structs.replace(settings.authority, **proof),
        xds_socket=folder / XDS_SOCKET,
        sds_socket=folder / SDS_SOCKET,
        socket_user=ENVOY_USER if machine.as_root else None,
        revoked=projected / "crl" / "ca-crl.pem",
        resolver=resolver,
    )
    return PodAgent(settings, network)


def token_file(plan: Plan, machine: Machine) -> Path:
    """Where the control plane puts what proves who a Pod is."""
    return machine.state / state.PROJECTED / plan.ref.namespace / plan.ref.name / "istio-token"


def envoy_command(plan: Plan, machine: Machine) -> Sequence[str]:
    """How the Envoy of a Pod that has one is started, in the folder of its agent's sockets."""
    assert plan.start is not None
    as_user: tuple[str, ...] = ("setpriv", f"--reuid={ENVOY_USER}", f"--regid={ENVOY_USER}", "--clear-groups")
    if plan.borrows_addresses:
        as_user += ("--inh-caps=+net_admin", "--ambient-caps=+net_admin")
    return (
        *(as_user if machine.as_root else ()),
        *(f"/proc/self/fd/{machine.envoy}", "--config-yaml", bootstrap_text(plan.start)),
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
        *("--file-flush-interval-msec", "200", "--drain-time-s", "5", "--drain-strategy", "immediate"),
        "--skip-deprecated-logs",
    )
