"""The waiver file itself: read, checked, and held to its own rules (REP201 to REP205).

``tests/intent/waivers.yaml`` is described by ``compliance/waivers.schema.json``. An entry that is malformed, expired, too broad or for
a rule that does not exist silences nothing and is a finding. What takes the outcome of all other rules to know (an entry that
covers nothing, or too much) is :mod:`harness.compliance.waivers`' business.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jsonschema_rs

from harness.model import Finding, Location, Pointer, format_pointer
from harness.rules.base import Registry, Violation, WholeRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.rules.context import Context
    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: The waivers of a repository that has any.
PATH: Final = "tests/intent/waivers.yaml"
#: How far ahead a waiver may end.
LIMIT: Final = timedelta(days=180)

REP: Final = Registry()

MALFORMED, EXPIRY, UNUSED, BREADTH, TARGET = "REP201", "REP202", "REP203", "REP204", "REP205"
_OWN: Final = (MALFORMED, EXPIRY, UNUSED, BREADTH, TARGET)


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
    found: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is of the waiver's rule, its subject fits the pattern, and what was found has the waiver's words in it."""
        return finding.rule == self.rule and self.found in finding.found and pattern(self.object).fullmatch(finding.subject) is not None


class Fault(NamedTuple):
    """Something wrong with the file, by the rule it breaks."""

    rule: str
    violation: Violation


@dataclass(frozen=True, slots=True)
class WaiverFile:
    """A waiver file as read: the entries that may silence something, and everything wrong with it."""

    path: str
    entries: tuple[Waiver, ...] = ()
    faults: tuple[Fault, ...] = ()
    document: Document | None = None

    def locate(self, pointer: Pointer) -> Location:
        return self.document.locate(pointer) if self.document is not None else Location(self.path)


def read(repository: Repository, path: str, today: date) -> WaiverFile:
    """The waivers of a file; none when there is no such file. What is wrong with it is data, never an exception."""
    if not repository.exists(path):
        return WaiverFile(path)
    documents = repository.documents(path)
    # Only this module reads the file, and it reads a plain date as text.
    problems = [problem for problem in repository.problems_of([path]) if problem.code != "yaml-ambiguous-scalar"]
    faults = [Fault(MALFORMED, Violation(problem.message, "a YAML file that can be read", problem.location)) for problem in problems]
    if len(documents) != 1:
        count = Fault(MALFORMED, Violation(f"{len(documents)} documents", "one document with a list waivers", Location(path)))
        return WaiverFile(path, faults=tuple(faults or [count]))
    shell = WaiverFile(path, document=documents[0])
    bad = set()
    for error in _validator().iter_errors(documents[0].body):
        at: Pointer = tuple(error.instance_path)
        bad |= {at[1]} if len(at) > 1 else set()
        expect = "what compliance/waivers.schema.json describes"
        faults.append(Fault(MALFORMED, Violation(f"{format_pointer(at)}: {error.message}", expect, shell.locate(at))))
    listed = documents[0].body.get("waivers")
    waivers = []
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if index not in bad:
            waiver, wrong = _entry(shell, entry, index, today)
            faults += wrong
            waivers += [waiver] if waiver is not None and not wrong else []
    faults += _repeated(shell, waivers)
    return WaiverFile(
        path, tuple(waivers), tuple(sorted(set(faults), key=lambda fault: (fault.rule, fault.violation.location, fault.violation.found))), documents[0]
    )


@cache
def _validator() -> Any:
    return jsonschema_rs.validator_for(json.loads(files("harness").joinpath("compliance", "waivers.schema.json").read_text(encoding="utf-8")))


def _entry(shell: WaiverFile, entry: dict[str, Any], index: int, today: date) -> tuple[Waiver | None, list[Fault]]:
    """A well-formed entry as a waiver, with what forbids it to silence anything."""
    try:
        expires = date.fromisoformat(entry["expires"])
    except ValueError:
        return None, [_fault(shell, index, (MALFORMED, "expires", f"expires: {entry['expires']} is no day", "a date, YYYY-MM-DD"))]
    waiver = Waiver(
        entry["rule"],
        entry["object"],
        entry["owner"],
        " ".join(entry["reason"].split()),
        expires,
        index,
        entry.get("clusters") == "all",
        entry.get("found", ""),
    )
    return waiver, [_fault(shell, index, told) for told in (*_time(waiver, today), *_target(waiver), *_breadth(waiver))]


_Told = tuple[str, str, str, str]


def _fault(shell: WaiverFile, index: int, told: _Told) -> Fault:
    rule, key, found, expect = told
    return Fault(rule, Violation(found, expect, shell.locate(("waivers", index, key))))


def _time(waiver: Waiver, today: date) -> Iterator[_Told]:
    if waiver.expires <= today:
        yield EXPIRY, "expires", f"expired on {waiver.expires.isoformat()}", f"a day after {today.isoformat()}"
    elif waiver.expires - today > LIMIT:
        yield EXPIRY, "expires", f"expires on {waiver.expires.isoformat()}, in {(waiver.expires - today).days} days", f"at most {LIMIT.days} days ahead"


def _target(waiver: Waiver) -> Iterator[_Told]:
    from harness.rules import rule_of  # all rules are known only once this module is loaded

    if waiver.rule in _OWN:
        yield TARGET, "rule", f"{waiver.rule} is a rule about waivers", "a rule that can be waived"
    elif rule_of(waiver.rule) is None:
        yield TARGET, "rule", f"there is no rule {waiver.rule}", "the id of a rule"


def _breadth(waiver: Waiver) -> Iterator[_Told]:
    parts = waiver.object.split("/")
    if not parts[-1].strip("*?"):
        yield BREADTH, "object", f"{waiver.object} leaves the name open", "a pattern that names the object"
    elif len(parts) > 1 and not parts[0].strip("*?") and not waiver.all_clusters:
        yield BREADTH, "object", f"{waiver.object} fits every cluster", "the cluster's name, or clusters: all"


def _repeated(shell: WaiverFile, waivers: list[Waiver]) -> Iterator[Fault]:
    known: dict[tuple[str, str], int] = {}
    for waiver in waivers:
        first = known.setdefault((waiver.rule, waiver.object), waiver.index)
        if first != waiver.index:
            yield _fault(shell, waiver.index, (UNUSED, "object", f"entry {first + 1} waives {waiver.rule} for {waiver.object} already", "one entry"))


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """An object pattern as a regular expression: ``*`` and ``?`` stay within one part of the id, ``**`` crosses parts."""
    text = ""
    for part in re.split(r"(\*\*|\*|\?)", glob):
        text += {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text)


def _held(rule: str) -> Callable[[Context], Iterator[Violation]]:
    def check(context: Context) -> Iterator[Violation]:
        for fault in read(context.repository, PATH, context.today).faults:
            if fault.rule == rule:
                yield fault.violation

    return check


_CONTROLS: Final = ("NIST-CA-5", "NIST-RA-7")

REP.rule(
    MALFORMED,
    title="every waiver is well formed",
    why="an entry without owner, reason or end is nobody's decision",
    fix="give rule, object, owner, reason (20 characters or more) and expires (YYYY-MM-DD)",
    scope=WholeRepository(),
    controls=_CONTROLS,
)(_held(MALFORMED))
REP.rule(
    EXPIRY,
    title="no waiver is expired or runs for more than 180 days",
    why="an exception without an end is a rule nobody decided on",
    fix="mend what it covers, or decide anew and set expires at most 180 days ahead",
    scope=WholeRepository(),
    controls=_CONTROLS,
)(_held(EXPIRY))
REP.rule(
    UNUSED,
    title="every waiver is needed",
    why="a waiver that covers nothing today, or what another one covers, will cover something else tomorrow",
    fix="delete the entry",
    scope=WholeRepository(),
    controls=_CONTROLS,
)(_held(UNUSED))
REP.rule(
    BREADTH,
    title="no waiver is broader than the finding it is for",
    why="a pattern that fits everything switches the rule off",
    fix="name the objects; say clusters: all when every cluster is meant",
    scope=WholeRepository(),
    controls=_CONTROLS,
)(_held(BREADTH))
REP.rule(
    TARGET,
    title="every waiver names a rule that exists and can be waived",
    why="a waiver for a rule that is gone, or for the waivers' own rules, only misleads",
    fix="correct the id, or delete the entry",
    scope=WholeRepository(),
    controls=_CONTROLS,
)(_held(TARGET))

RULES: Final = tuple(REP.rules)
