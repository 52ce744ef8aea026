"""Admission policies as Kyverno and the Kubernetes API server evaluate them, without a cluster."""

from harness.engines.policy.api import (
    Authorizer,
    Deletion,
    Generated,
    ImageCheck,
    Lookup,
    PolicyId,
    PolicyProblem,
    Request,
    Resource,
    Result,
    Sources,
    Status,
)
from harness.engines.policy.policy_set import PolicySet
from harness.engines.policy.resources import Resources

__all__ = [
    "Authorizer",
    "Deletion",
    "Generated",
    "ImageCheck",
    "Lookup",
    "PolicyId",
    "PolicyProblem",
    "PolicySet",
    "Request",
    "Resource",
    "Resources",
    "Result",
    "Sources",
    "Status",
]
