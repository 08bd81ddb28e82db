"""Walks compiled resources as an Envoy would, and says why a request goes where it goes."""
