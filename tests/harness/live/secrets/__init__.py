"""Sealed Secrets and Vault in a running cluster."""
