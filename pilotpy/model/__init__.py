"""The users' resources as types, one module per kind. Nothing is computed here."""
