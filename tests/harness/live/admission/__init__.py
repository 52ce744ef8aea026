"""What a running API server says of objects: policies, Pod Security, schemas."""
