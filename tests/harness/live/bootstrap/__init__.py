"""The bootstrap of a cluster, step by step: what ``python -m harness bootstrap`` does, and what a run of the live tier uses."""
