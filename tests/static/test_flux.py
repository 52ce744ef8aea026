"""Flux's own objects are wired so that a cluster comes up and stays up."""

from __future__ import annotations

from harness.report.cases import Family

test_rule = Family("FLX")
