"""The platform's policies let through and refuse what their cases say, and hold for everything the clusters get."""

from __future__ import annotations

from harness.report.cases import Checks, Family

test_rule = Family("POL")
#: Each request is refused by the validation that the case names, and by no other.
test_denied = Checks("denied")
#: Each request passes every validation, or the policy leaves it alone for the reason the case gives.
test_allowed = Checks("allowed")
