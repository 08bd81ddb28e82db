"""AuthorizationPolicy: who may do what.

Source: istio/api security/v1beta1/authorization_policy.proto.
"""

from __future__ import annotations

from typing import Literal

from pilotpy.model.message import Message
from pilotpy.model.selector import PolicyTargetReference, WorkloadSelector

Action = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]


class AuthorizationPolicy(Message, frozen=True):
    """One action for the requests that its rules match."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    rules: tuple[Rule, ...] = ()
    action: Action = "ALLOW"
    provider: ExtensionProvider | None = None


class ExtensionProvider(Message, frozen=True):
    """The provider of a CUSTOM action."""

    name: str = ""


class Rule(Message, frozen=True):
    """Who (`from_`), does what (`to`), and when; all three must hold, each if given."""

    from_: tuple[From, ...] = ()
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


class From(Message, frozen=True):
    """A list item of `from`."""

    source: Source | None = None


class To(Message, frozen=True):
    """A list item of `to`."""

    operation: Operation | None = None


class Source(Message, frozen=True):
    """Conditions on the peer; all must hold."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


class Operation(Message, frozen=True):
    """Conditions on the request; all must hold."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class Condition(Message, frozen=True):
    """A condition on an attribute."""

    key: str = ""  # required
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()
