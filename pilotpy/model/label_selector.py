"""Kubernetes' label selector: which objects are meant, by their labels.

Source: kubernetes/apimachinery meta/v1/types.go and labels/selector.go; istio/api mesh/v1alpha1/config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotpy.model.message import Message


class LabelSelectorRequirement(Message, frozen=True):
    """A condition on one label."""

    key: str = ""
    operator: str = ""  # "In", "NotIn", "Exists", "DoesNotExist"
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet it; with an operator that nobody knows, none do."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        return False


class LabelSelector(Message, frozen=True):
    """Conditions on labels, all of which must hold; empty: all labels will do."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels are as it wants them."""
        return self.match_labels.items() <= labels.items() and all(one.holds(labels) for one in self.match_expressions)
