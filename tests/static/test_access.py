"""Who may do what is what was meant, and leads no further."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("RBC")
