"""Queries: Envoy resources, encoded. Clusters, endpoints, listeners, routes, names."""
