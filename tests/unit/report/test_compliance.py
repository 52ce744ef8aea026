"""Every control is listed once, with the rules and the policies that name it; one without a name is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.report.compliance import UnnamedControlError, compliance
from harness.rules import all_rules
from harness.rules.base import Clusters, Rule
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

POLICY = "metadata:\n  name: p\n  annotations:\n    plimsoll.io/controls: CIS-5.2.10, CIS-5.2.2\n"


def _rule(id: str, *controls: str) -> Rule:
    return Rule(id=id, title="t", why="w", fix="f", scope=Clusters(), check=lambda _world: (), controls=controls)


def test_controls_are_in_order_with_what_serves_them(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    rows = compliance([_rule("SEC102", "CIS-5.2.2", "NIST-AC-6"), _rule("SEC101", "CIS-5.2.2")], Repository(tmp_path)).splitlines()[-3:]
    assert rows == [
        "| CIS-5.2.2 | no privileged containers | SEC101, SEC102 | p |",
        "| CIS-5.2.10 | no assigned capabilities |  | p |",
        "| NIST-AC-6 | Least Privilege | SEC102 |  |",
    ]


def test_a_control_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnnamedControlError, match="SEC101: control NIST-ZZ-1 has no name"):
        compliance([_rule("SEC101", "NIST-ZZ-1")], Repository(tmp_path))


def test_every_control_of_our_own_rules_has_a_name(tmp_path: Path) -> None:
    assert compliance(all_rules(), Repository(tmp_path)).count("\n| NIST-") > 50
