"""Runs the tests that people write for Kyverno's command line (``kyverno-test.yaml``) on the policy engine, without a cluster.

Source: ``cmd/cli/kubectl-kyverno/{apis/v1alpha1,commands/test,processor}``, Kyverno 1.19.
"""

from harness.policytest.files import Row, TestFile, find_tests, read_tests
from harness.policytest.rows import Outcome, RowResult, run_test

__all__ = ["Outcome", "Row", "RowResult", "TestFile", "find_tests", "read_tests", "run_test"]
