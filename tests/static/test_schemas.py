"""Every object is what its schema says, for the version of the cluster."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("SCH")
