"""Flux at work: what it says of its objects, what it is asked to do, how it came up, how it heals, and the way from an earlier commit."""
