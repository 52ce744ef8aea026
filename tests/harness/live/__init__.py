"""The live tier: a kind cluster that Flux builds from the working tree, and what it takes to look at it. The static tier never imports it."""
