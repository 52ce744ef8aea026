"""The repository keeps its own conventions."""

from __future__ import annotations

from harness.report.cases import Checks, Family

test_rule = Family("REP")
#: ``nox -s docs`` rewrites them.
test_generated_document_is_current = Checks("generated")
