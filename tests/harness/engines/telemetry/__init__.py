"""Telemetry: what is scraped, what is asked of it, who is told, and what is shown. Pure functions over objects."""
