"""CustomResourceDefinition: a kind that an API server learns. Of it, only which kind that is.

Source: kubernetes/apiextensions-apiserver pkg/apis/apiextensions/v1/types.go.
"""

from __future__ import annotations

from pilotpy.model.message import Part


class Names(Part, frozen=True):
    """What objects of the kind are called."""

    kind: str = ""


class CustomResourceDefinition(Part, frozen=True):
    """A kind and its group."""

    group: str = ""
    names: Names = Names()
