"""A cluster as a source: its API server listed and watched. The one room of sources that knows a Kubernetes client."""
