"""RBAC: who may do what, why, and what that leads to."""
