"""Nothing rests on an API or a component at the end of its life."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("LIF")
