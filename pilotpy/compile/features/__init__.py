"""One module per feature: pure functions from what users wrote to the Envoy messages that it fills in."""
