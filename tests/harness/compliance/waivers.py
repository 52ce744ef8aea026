"""Waivers: findings that someone accepts for a while, with owner, reason and end. Nothing else silences a rule.

The file is ``tests/intent/waivers.yaml``; ``waivers.schema.json`` beside this module describes it. A waiver that is malformed,
expired, too broad or for a rule that does not exist silences nothing and is a finding itself (REP201 to REP205), and so is one
that nothing needed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from harness.model import Finding, Location, Pointer, format_pointer
from harness.rules import rule_of
from harness.rules.base import Registry, Violation, WholeRepository
from harness.rules.engine import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.rules.base import Rule
    from harness.rules.context import Context
    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: How far ahead a waiver may end.
LIMIT: Final = timedelta(days=180)
#: How many cases one entry may silence.
MOST: Final = 20
#: Rules about waivers themselves cannot be waived.
_OWN: Final = "REP20"

REP: Final = Registry()


def _told_by_the_file(_context: Context) -> Iterator[Violation]:
    """These rules need the outcome of all others: :meth:`Waivers.judge` holds them."""
    yield from ()


for _id, _title, _why, _fix in (
    (
        "REP201",
        "every waiver is well formed",
        "an entry without owner, reason or end is nobody's decision",
        "give rule, object, owner, reason (20 characters or more) and expires (YYYY-MM-DD)",
    ),
    (
        "REP202",
        "no waiver is expired or runs for more than 180 days",
        "an exception without an end is a rule nobody decided on",
        "mend what it covers, or decide anew and set expires at most 180 days ahead",
    ),
    ("REP203", "every waiver is needed", "a waiver that covers nothing today will cover something else tomorrow", "delete the entry"),
    (
        "REP204",
        "no waiver is broader than the finding it is for",
        "a pattern that fits everything switches the rule off",
        "name the objects; say clusters: all when every cluster is meant",
    ),
    (
        "REP205",
        "every waiver names a rule that exists and can be waived",
        "a waiver for a rule that is gone, or for the waivers' own rules, only misleads",
        "correct the id, or delete the entry",
    ),
):
    REP.rule(_id, title=_title, why=_why, fix=_fix, scope=WholeRepository(), controls=("NIST-CA-5", "NIST-RA-7"))(_told_by_the_file)

#: The rules over the waiver file, in the order of their ids. They are not among the rules that look at clusters.
RULES: Final[tuple[Rule, ...]] = tuple(REP.rules)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One entry that may silence findings. ``index`` is its position in the file."""

    rule: str
    object: str
    owner: str
    reason: str
    expires: date
    index: int
    all_clusters: bool = False

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is of the waiver's rule and its subject fits the pattern."""
        return finding.rule == self.rule and pattern(self.object).fullmatch(finding.subject) is not None


@dataclass
class Waivers:
    """The waivers of a repository, and what is wrong with them.

    ``found`` holds a violation list for each of the rules of this module.
    """

    path: str
    entries: tuple[Waiver, ...] = ()
    document: Document | None = None
    found: dict[str, list[Violation]] = field(default_factory=lambda: defaultdict(list))
    _used: set[int] = field(default_factory=set)

    def apply(self, cases: Iterable[Case]) -> dict[Finding, str]:
        """The findings that are waived, each with the reason. Entries that fit more than :data:`MOST` subjects silence none."""
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
                self._say("REP204", waiver.index, "object", f"{waiver.object} covers {len(subjects)} cases of {waiver.rule}", f"at most {MOST}")
                continue
            for finding in covered:
                waived.setdefault(finding, f"{waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})")
        return waived

    def judge(self, *, complete: bool) -> list[Case]:
        """The cases of this module's rules. Call it after :meth:`apply`.

        ``complete`` says that every rule was held against every cluster: only then is an entry that covered nothing unused.
        """
        if complete:
            for waiver in self.entries:
                if waiver.index not in self._used:
                    self._say("REP203", waiver.index, "object", f"{waiver.rule} has no finding for {waiver.object}", "an entry that is needed")
        return [self._case(rule) for rule in RULES]

    def _say(self, rule: str, index: int, key: str, found: str, expect: str) -> None:
        violation = Violation(found, expect, self._locate(("waivers", index, key)))
        if violation not in self.found[rule]:
            self.found[rule].append(violation)

    def _locate(self, pointer: Pointer) -> Location:
        return self.document.locate(pointer) if self.document is not None else Location(self.path)

    def _case(self, rule: Rule) -> Case:
        findings = tuple(
            Finding(rule.id, self.path, item.location, item.found, item.expect, rule.why, item.fix or rule.fix, rule.severity)
            for item in sorted(self.found.get(rule.id, ()), key=lambda item: (item.location, item.found))
        )
        return Case(rule, self.path, findings[0].location if findings else Location(self.path), findings)


def load_waivers(repository: Repository, path: str, *, today: date) -> Waivers:
    """The waivers of a file; none when there is no such file. What is wrong with it becomes a finding, never an exception."""
    waivers = Waivers(path)
    if not repository.exists(path):
        return waivers
    documents = repository.documents(path)
    for problem in repository.problems_of([path]):
        if problem.code == "yaml-ambiguous-scalar":
            continue  # only this module reads the file, and it reads a plain date as text
        waivers.found["REP201"].append(Violation(problem.message, "a YAML file that can be read", problem.location))
    if len(documents) != 1:
        if not waivers.found["REP201"]:
            waivers.found["REP201"].append(Violation(f"{len(documents)} documents", "one document with a list waivers", Location(path)))
        return waivers
    waivers.document = documents[0]
    bad = _check_shape(waivers, documents[0].body)
    listed = documents[0].body.get("waivers") if isinstance(documents[0].body, dict) else None
    entries = listed if isinstance(listed, list) else []
    waivers.entries = tuple(waiver for index, entry in enumerate(entries) if index not in bad and (waiver := _entry(waivers, entry, index, today)) is not None)
    return waivers


@cache
def _validator() -> Any:
    return jsonschema_rs.validator_for(json.loads(files("harness.compliance").joinpath("waivers.schema.json").read_text(encoding="utf-8")))


def _check_shape(waivers: Waivers, body: Any) -> frozenset[int]:
    """Note every breach of the schema; answers with the positions of the entries that have one."""
    bad = set()
    for error in _validator().iter_errors(body):
        at: Pointer = tuple(error.instance_path)
        if len(at) > 1 and isinstance(at[1], int):
            bad.add(at[1])
        found = f"{format_pointer(at)}: {error.message}"
        waivers.found["REP201"].append(Violation(found, "what compliance/waivers.schema.json describes", waivers._locate(at)))
    return frozenset(bad)


def _entry(waivers: Waivers, entry: dict[str, Any], index: int, today: date) -> Waiver | None:
    """A well-formed entry as a waiver; None when it must not silence anything."""
    try:
        expires = date.fromisoformat(entry["expires"])
    except ValueError:
        waivers._say("REP201", index, "expires", f"expires: {entry['expires']} is no day", "a date, YYYY-MM-DD")
        return None
    waiver = Waiver(entry["rule"], entry["object"], entry["owner"], " ".join(entry["reason"].split()), expires, index, entry.get("clusters") == "all")
    problems = [*_time(waiver, today), *_target(waiver), *_breadth(waiver)]
    for rule, key, found, expect in problems:
        waivers._say(rule, index, key, found, expect)
    return None if problems else waiver


def _time(waiver: Waiver, today: date) -> Iterator[tuple[str, str, str, str]]:
    if waiver.expires <= today:
        yield "REP202", "expires", f"expired on {waiver.expires.isoformat()}", f"a day after {today.isoformat()}"
    elif waiver.expires - today > LIMIT:
        yield "REP202", "expires", f"expires on {waiver.expires.isoformat()}, in {(waiver.expires - today).days} days", f"at most {LIMIT.days} days ahead"


def _target(waiver: Waiver) -> Iterator[tuple[str, str, str, str]]:
    if waiver.rule.startswith(_OWN):
        yield "REP205", "rule", f"{waiver.rule} is a rule about waivers", "a rule that can be waived"
    elif rule_of(waiver.rule) is None:
        yield "REP205", "rule", f"there is no rule {waiver.rule}", "the id of a rule"


def _breadth(waiver: Waiver) -> Iterator[tuple[str, str, str, str]]:
    parts = waiver.object.split("/")
    if not parts[-1].strip("*?"):
        yield "REP204", "object", f"{waiver.object} leaves the name open", "a pattern that names the object"
    elif len(parts) > 1 and not parts[0].strip("*?") and not waiver.all_clusters:
        yield "REP204", "object", f"{waiver.object} fits every cluster", "the cluster's name, or clusters: all"


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """An object pattern as a regular expression: ``*`` and ``?`` stay within one part of the id, ``**`` crosses parts."""
    text = ""
    for part in re.split(r"(\*\*|\*|\?)", glob):
        text += {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text)
