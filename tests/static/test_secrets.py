"""Nothing secret is in Git."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("SEC")
