"""A whole mesh on one machine: namespaces, real Envoys, applications."""
