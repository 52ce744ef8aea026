"""NetworkPolicies allow what people declared, and nothing else; what components need is allowed."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("NET")
