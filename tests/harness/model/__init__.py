"""What everything else talks about: objects, where they come from, and what was found wrong. Knows nothing of files or Flux."""

from harness.model.identity import GroupKind, ObjectId, group_of, version_of
from harness.model.objects import Object
from harness.model.origin import Link, Location, Locator, Origin, Pointer, fixed, format_pointer
from harness.model.problems import Finding, NotEvaluated, Problem, Severity

__all__ = [
    "Finding",
    "GroupKind",
    "Link",
    "Location",
    "Locator",
    "NotEvaluated",
    "Object",
    "ObjectId",
    "Origin",
    "Pointer",
    "Problem",
    "Severity",
    "fixed",
    "format_pointer",
    "group_of",
    "version_of",
]
