"""Secrets: what must not stand in Git, what refers to which Secret, and sealed ones without the key that opens them."""
