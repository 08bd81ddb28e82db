"""What was compiled, to people: opened, compared, and walked as an Envoy would walk it."""
