"""Waivers applied to findings: which are accepted for a while, and which waivers nobody needed or cover too much.

The file and its own rules are :mod:`harness.rules.rep_waivers`; nothing but its entries silences a rule.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.model import Finding
from harness.rules.engine import Case
from harness.rules.rep_waivers import BREADTH, RULES, UNUSED, Waiver, WaiverFile, read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from harness.source.repository import Repository

#: How many cases one entry may silence.
MOST: Final = 20


@dataclass
class Waivers:
    """The waivers of a repository, and what applying them showed."""

    file: WaiverFile
    _used: set[int] = field(default_factory=set)
    _broad: dict[int, str] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Waiver, ...]:
        """The entries that may silence something: well formed, in force, narrow, and for a rule that exists."""
        return self.file.entries

    def apply(self, cases: Iterable[Case]) -> dict[Finding, str]:
        """The findings that are waived, each with reason, owner and end. Entries that fit more than :data:`MOST` subjects silence none."""
        by_rule: dict[str, list[Finding]] = defaultdict(list)
        for case in cases:
            for finding in case.findings:
                by_rule[finding.rule].append(finding)
        waived: dict[Finding, str] = {}
        for waiver in self.entries:
            covered = [finding for finding in by_rule.get(waiver.rule, ()) if waiver.covers(finding)]
            subjects = {finding.subject for finding in covered}
            if covered:
                self._used.add(waiver.index)
            if len(subjects) > MOST:
                self._broad[waiver.index] = f"{waiver.object} covers {len(subjects)} cases of {waiver.rule}"
                continue
            for finding in covered:
                waived.setdefault(finding, f"{waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})")
        return waived

    def judge(self, *, complete: bool) -> list[Case]:
        """What :meth:`apply` showed of the waivers: cases of REP203 and REP204, both also when nothing is wrong.

        ``complete`` says that every rule was held against every cluster: only then is an entry that covered nothing unused.
        """
        unused = [waiver for waiver in self.entries if complete and waiver.index not in self._used]
        return [
            self._case(UNUSED, {waiver.index: f"{waiver.rule} has no finding for {waiver.object}" for waiver in unused}, "an entry that is needed"),
            self._case(BREADTH, self._broad, f"at most {MOST}"),
        ]

    def _case(self, rule_id: str, found: dict[int, str], expect: str) -> Case:
        rule = next(rule for rule in RULES if rule.id == rule_id)
        where = {index: self.file.locate(("waivers", index, "object")) for index in found}
        findings = tuple(
            Finding(rule.id, self.file.path, where[index], text, expect, rule.why, rule.fix, rule.severity) for index, text in sorted(found.items())
        )
        return Case(rule, self.file.path, findings)


def load_waivers(repository: Repository, path: str, *, today: date) -> Waivers:
    """The waivers of a file; none when there is no such file."""
    return Waivers(read(repository, path, today))
