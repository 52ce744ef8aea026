"""Vault as its declarations describe it: policies, mounts, roles, and who may do what."""
