"""Every overlay builds, as kustomize-controller would build it."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("KUS")
