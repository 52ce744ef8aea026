"""Links that lead nowhere, outside or in a circle are cases of their own, although they are no files."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from harness.rules import rule_of
from harness.rules.context import Context
from harness.rules.engine import evaluate_repository
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path


def test_links(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "clusters").mkdir(parents=True)
    (tmp_path / "secret.yaml").write_text("a: b\n")
    (root / "clusters" / "fine.yaml").write_text("a: b\n")
    (root / "clusters" / "inside.yaml").symlink_to("fine.yaml")
    (root / "clusters" / "outside.yaml").symlink_to("../../secret.yaml")
    (root / "clusters" / "nowhere.yaml").symlink_to("gone.yaml")
    (root / "clusters" / "loop").symlink_to("loop")
    repository = Repository(root)
    files = repository.files()
    for path in files:
        repository.documents(path)
    context = Context(repository, date(2026, 11, 23), own=False, problems=list(repository.problems))
    rule = rule_of("YML105")
    assert rule is not None
    found = {case.id: [finding.found for finding in case.findings] for case in evaluate_repository(context, [rule], files) if case.findings}
    assert found == {
        "YML105-clusters/loop": ["the symlink points to loop, which leads back to itself"],
        "YML105-clusters/nowhere.yaml": ["the symlink points to gone.yaml, which does not exist"],
        "YML105-clusters/outside.yaml": ["the symlink points to ../../secret.yaml, outside the repository"],
    }
