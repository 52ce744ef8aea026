"""Every signal arrives: what is scraped, what is asked of it, who is told, what is shown."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("OBS")
