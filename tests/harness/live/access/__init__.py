"""Rights in a running cluster."""
