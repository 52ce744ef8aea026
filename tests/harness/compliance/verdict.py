"""What holding every rule against a repository came to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.model import Finding, NotEvaluated
    from harness.rules.engine import Case


class Check(NamedTuple):
    """Something of this project itself that holds or not: a case of a policy, a generated document. ``complaint`` is empty when it holds."""

    group: str
    name: str
    complaint: str = ""


@dataclass
class Verdict:
    """What came out. ``waived`` maps a finding to the reason it was waived for; ``checks`` are those of ``own``, this project itself."""

    cases: list[Case] = field(default_factory=list)
    waived: dict[Finding, str] = field(default_factory=dict)
    ledger: list[NotEvaluated] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)
    own: bool = False
    checks: list[Check] = field(default_factory=list)
    opinions: list[str] = field(default_factory=list)
    """Where kubeconform, if it was asked, judges an object differently."""

    @property
    def findings(self) -> list[Finding]:
        """Every finding that no waiver covers, in the order of the cases."""
        return [finding for case in self.cases for finding in case.findings if finding not in self.waived]

    @cached_property
    def by_family(self) -> dict[str, list[Case]]:
        """The cases of each family of rules. Ask when there are no more to come."""
        families = {case.rule.id: case.rule.family for case in self.cases}
        found: dict[str, list[Case]] = defaultdict(list)
        for case in self.cases:
            found[families[case.rule.id]].append(case)
        return found
