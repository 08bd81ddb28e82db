"""pilotpy: the control plane of an Envoy service mesh."""
