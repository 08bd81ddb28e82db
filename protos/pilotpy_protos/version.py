"""Which Envoy API these types are. Changes by hand, together with the pinned distribution they are generated from."""

ENVOY_API = "1.37.0-dev"
"""The Envoy version the definitions were taken on the way to: a little after 1.36, four weeks before 1.37."""

DATA_PLANE_API = "6ef568cf4a67362849911d1d2a546fd9f35db2ff"
"""Their last commit in envoyproxy/data-plane-api, of 2025-12-16."""

XDS_PROTOS = "1.85.0"
"""The distribution that carries them; `generate.py` refuses any other."""
