"""NetworkPolicy (networking.k8s.io/v1): who can talk to whom, computed exactly over plain objects. Knows nothing of Flux or rules."""
