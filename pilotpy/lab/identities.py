"""Who is who in a running bookinfo: its topology as the applications saw it, and who is turned away.

From a page's JSON, in which each service tells whom its Envoy saw (``x-forwarded-client-cert``), and from two requests
that must fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from rich.tree import Tree

from pilotpy.agent.http_client import Question, asked
from pilotpy.agent.network import PodNetwork
from pilotpy.lab.running_pod import RunningPod
from pilotpy.lab.supervisor import Lab

_PATIENCE = timedelta(seconds=5)
_PORT = 9080
_LARGEST = 1 << 20


def topology(page: Mapping[str, Any]) -> Tree:
    """Who calls whom, from a page that took all services to make; with the names that certificates prove."""
    details, reviews = page["details"]["identities"], page["reviews"]["identities"]
    ratings = page["reviews"]["ratings"]
    top = Tree(f"[bold]productpage[/] v1  {_name(details, 'caller')}")
    top.add(f"details v1  {_name(details, 'called')}")
    middle = top.add(f"reviews  {_name(reviews, 'called')}")
    middle.add("v1  [dim]no stars, 90 %[/]")
    middle.add("v2  [dim]black stars, 10 %[/]").add(f"ratings v1  {_name(ratings, 'called')}")
    middle.add("v3  [dim]red stars, no traffic yet[/]")
    return top


async def refusals(lab: Lab) -> AsyncIterator[str]:
    """What becomes of who may not: a caller without a certificate, and one with another's."""
    details, ratings = (lab.ready("default", {"app": app}.items())[0] for app in ("details", "ratings"))
    plain = await _outcome(ratings.plan.address, "/ratings/0", PodNetwork())
    yield f"Without a certificate, ratings: {plain}"
    other = await _outcome(_address(lab, "ratings"), "/ratings/0", _inside(details))
    yield f"With the certificate of details, ratings: {other}"


async def _outcome(address: str, path: str, network: PodNetwork) -> str:
    question = Question(address, _PORT, path, headers=(("host", f"ratings:{_PORT}"),))
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            answer = await asked(question, network, at_most=_LARGEST)
    except OSError as refused:
        return f"refused ({refused})"
    return f"{answer.status} ({answer.body.decode(errors='replace').strip()[:60]})"


def _inside(pod: RunningPod) -> PodNetwork:
    return PodNetwork(pod.network.inside)


def _address(lab: Lab, service: str) -> str:
    return next(one.spec.cluster_ip for one in lab.plane.services() if one.ref.name == service)


def _name(identities: Mapping[str, str], who: str) -> str:
    return f"[green]{identities.get(who, 'in plaintext')}[/]"
