"""Objects inside custom resources (``x-kubernetes-embedded-resource``).

Source: ``validateEmbeddedResource`` in ``k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/validation.go``, v0.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.metadata import validate_embedded_metadata

if TYPE_CHECKING:
    from harness.engines.crd_plan import Plan
    from harness.engines.report import Report
    from harness.model import Pointer


def check_embedded(value: Any, plan: Plan, report: Report, pointer: Pointer = ()) -> None:
    """Checks the type and metadata of every embedded object. Missing fields are the JSON schema's business."""
    if isinstance(value, list):
        if plan.items is not None and plan.items.has_checks:
            for index, item in enumerate(value):
                check_embedded(item, plan.items, report, (*pointer, index))
        return
    if not isinstance(value, dict):
        return
    if plan.embedded:
        _check(value, report, pointer)
    for name, child in plan.properties.items():
        if child.has_checks and name in value:
            check_embedded(value[name], child, report, (*pointer, name))
    if plan.additional is not None and plan.additional.has_checks:
        for name, inner in value.items():
            if name not in plan.properties:
                check_embedded(inner, plan.additional, report, (*pointer, name))


def _check(value: dict[str, Any], report: Report, pointer: Pointer) -> None:
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if isinstance(api_version, str) and (not api_version or api_version.count("/") > 1):
        report.error((*pointer, "apiVersion"), "must not be empty" if not api_version else "must be group/version", "embedded", api_version)
    if isinstance(kind, str):
        if not kind:
            report.error((*pointer, "kind"), "must not be empty", "embedded")
        else:
            for message in names.dns1035_label(kind.lower()):
                report.error((*pointer, "kind"), f"may have mixed case, but should otherwise match: {message}", "embedded", kind)
    if isinstance(value.get("metadata"), dict):
        validate_embedded_metadata(value["metadata"], report, (*pointer, "metadata"))
