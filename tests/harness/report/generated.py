"""The documents that are generated from the rules and from the clusters; a stale one fails the static tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.catalog import CATALOG, catalog
from harness.report.compliance import COMPLIANCE, compliance
from harness.report.components import README, MarkersError, readme
from harness.rules import all_rules
from harness.rules.pol_table import README as POLICIES
from harness.rules.pol_table import document

if TYPE_CHECKING:
    from harness.flux.workspace import Workspace


def generated_files(workspace: Workspace) -> list[tuple[str, str]]:
    """Every generated document: its path in the repository, and the text it should have. Raises MarkersError when one has no place for it."""
    clusters = {root.name: root.path for root in workspace.clusters}
    documents = [(CATALOG, catalog(all_rules())), (README, readme(workspace.repository, clusters)), (COMPLIANCE, compliance(all_rules(), workspace.repository))]
    if workspace.repository.is_dir("policies"):
        try:
            documents.append((POLICIES, document(workspace.repository, clusters)))
        except ValueError as error:
            raise MarkersError(str(error)) from error
    return documents
