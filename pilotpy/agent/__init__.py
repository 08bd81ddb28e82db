"""What runs beside an Envoy: its bootstrap and the capture of traffic."""
