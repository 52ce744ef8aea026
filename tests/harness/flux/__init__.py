"""Flux behaviour: builds, substitution, Helm rendering, the lock, and what each cluster gets. Knows nothing of rules."""
