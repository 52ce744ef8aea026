"""Every file that Flux reads is YAML that means one thing."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("YML")
