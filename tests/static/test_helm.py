"""Every release renders, and its fields do what they seem to do."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("HLM")
