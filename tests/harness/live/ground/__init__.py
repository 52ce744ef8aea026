"""What a run makes before Flux starts: the kind cluster, the registry beside it, what is pushed there, and the overlay of the run."""
