"""Connections in a running cluster."""
