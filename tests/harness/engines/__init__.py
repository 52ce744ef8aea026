"""Pure functions over objects: schema, CEL, lifecycle. Knows nothing of rules, files or Flux."""
