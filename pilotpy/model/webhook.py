"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration: who has a say about objects before they are stored.

Source: kubernetes/api admissionregistration/v1/types.go.
"""

from __future__ import annotations

from pilotpy.model.label_selector import LabelSelector
from pilotpy.model.message import Part


class WebhookService(Part, frozen=True):
    """A Service that answers."""

    namespace: str = ""
    name: str = ""


class WebhookClient(Part, frozen=True):
    """Where a webhook is asked."""

    url: str | None = None
    service: WebhookService | None = None


class Webhook(Part, frozen=True):
    """One webhook, and the objects that it is asked about."""

    name: str = ""
    client_config: WebhookClient = WebhookClient()
    namespace_selector: LabelSelector | None = None  # None: every namespace
    object_selector: LabelSelector | None = None  # None: every object


class WebhookConfiguration(Part, frozen=True):
    """Webhooks, mutating or validating."""

    webhooks: tuple[Webhook, ...] = ()


class MutatingWebhookConfiguration(WebhookConfiguration, frozen=True):
    """Webhooks that may change objects."""


class ValidatingWebhookConfiguration(WebhookConfiguration, frozen=True):
    """Webhooks that may refuse objects."""
