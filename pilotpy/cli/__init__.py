"""The commands: parse, ask, show."""
