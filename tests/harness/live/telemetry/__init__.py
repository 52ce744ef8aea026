"""Metrics, alerts, dashboards, logs and traces of a running cluster."""
