"""The codes of this package's findings. Numbers are never reused: people search for them."""

from __future__ import annotations

UNREADABLE = "PP0001"  # not YAML or JSON; nothing of the document is used
DUPLICATE_KEY = "PP0002"  # a mapping has the same key twice; nothing of the document is used
TOO_MUCH = "PP0003"  # over a limit on size, depth or repetition, or not text at all
NOT_AN_OBJECT = "PP0004"  # has no kind, apiVersion or metadata.name
UNKNOWN_KIND = "PP0005"  # nobody knows this kind in this apiVersion
UNKNOWN_FIELD = "PP0006"  # the field is ignored, as an API server prunes it
DUPLICATE_OBJECT = "PP0007"  # two objects of one name; the first counts
NOT_COMPILED = "PP0008"  # read, understood, and without effect yet
SHUT = "PP0009"  # a policy that cannot be used: what it is for is shut
UNHEARD = "PP0010"  # an API server does not tell what it holds; what it said last counts
UNPERMITTED = "PP0011"  # who looks at a cluster may not list a kind; it is taken to be empty

INVALID = "IST0106"  # Istio's SchemaValidationError: the object is not used
DUBIOUS = "IST0133"  # Istio's SchemaWarning
DEPRECATED = "IST0002"
