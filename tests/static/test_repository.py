"""The repository keeps its own conventions."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("REP")
