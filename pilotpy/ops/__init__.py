"""Settings, clock, metrics, logs: the one shared drawer, kept small."""
