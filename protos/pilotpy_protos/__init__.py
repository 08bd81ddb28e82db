"""Envoy's API and Istio's services as protobuf classes; generated, see `generate.py`."""
