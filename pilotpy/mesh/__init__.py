"""Queries: what the users' resources mean. Services, endpoints, visibility, policies, views."""
