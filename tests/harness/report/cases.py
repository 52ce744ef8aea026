"""Cases as pytest items: one id per (rule, object), made without parametrisation because there are tens of thousands of them.

A plain parametrised function costs about a millisecond a case in fixture set-up and three reports; an item with one report costs a tenth. Even that
is more than building the clusters, so a case that holds becomes an item only when someone could see it: with ``-v``, ``-k``, ``-m``,
``--collect-only``, ``--junitxml``, a node id, or any option that chooses among tests. Otherwise it is counted as the passed test it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness.report.terminal import block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.compliance.verdict import Verdict
    from harness.rules.engine import Case


class Family:
    """Stands in a test module for all cases of one family of rules: ``test_rule = Family("FLX")``."""

    def __init__(self, name: str) -> None:
        self.name = name


class Checks:
    """Stands in a test module for all checks of one group: ``test_denied = Checks("denied")``."""

    def __init__(self, group: str) -> None:
        self.group = group


class KnownItem(pytest.Item):
    """One case or check. What became of it is known when it is collected; running it reports that."""

    def __init__(self, *, label: str, failure: str, waived: str = "", properties: Iterable[tuple[str, object]] = (), **arguments: Any) -> None:
        super().__init__(**arguments)
        self.label = label
        self.failure = failure
        self.waived = waived
        self.user_properties += properties

    def reportinfo(self) -> tuple[str, int | None, str]:
        return str(self.path), None, self.label

    def runtest(self) -> None:
        """Never called: :func:`run` reports the item."""
        raise NotImplementedError


def collect(parent: pytest.Module, name: str, what: Family | Checks, verdict: Verdict, *, clean: bool) -> list[KnownItem]:
    """The items of a family or a group; ``clean`` asks for those that hold too.

    A family without a single case is an error of collection, and so is a group of this project without a check.
    """
    if isinstance(what, Checks):
        checks = [check for check in verdict.checks if check.group == what.group]
        if not checks and verdict.own:
            raise pytest.UsageError(f"there is no check {what.group}: nothing was checked")
        wanted = [check for check in checks if clean or check.complaint]
        return [KnownItem.from_parent(parent, name=f"{name}[{check.name}]", label=check.name, failure=check.complaint) for check in wanted]
    cases = verdict.by_family.get(what.name)
    if not cases:
        raise pytest.UsageError(f"no {what.name} rule met anything: nothing was checked")
    return [_of_case(parent, name, case, verdict) for case in cases if clean or case.findings]


def _of_case(parent: pytest.Module, name: str, case: Case, verdict: Verdict) -> KnownItem:
    waived = _waiver(case, verdict)
    failure = "\n\n".join(block(finding) for finding in case.findings)
    return KnownItem.from_parent(parent, name=f"{name}[{case.id}]", label=case.id, failure=failure, waived=waived, properties=_properties(case, waived))


def held(what: Family | Checks, verdict: Verdict) -> int:
    """How many cases of a family, or checks of a group, hold."""
    if isinstance(what, Checks):
        return sum(1 for check in verdict.checks if check.group == what.group and not check.complaint)
    return sum(1 for case in verdict.by_family.get(what.name, ()) if not case.findings)


def all_visible(config: pytest.Config) -> bool:
    """Whether the run lets someone see, choose or record single cases that hold."""
    chosen = ("keyword", "markexpr", "deselect", "lf", "failedfirst", "stepwise", "collectonly", "xmlpath", "reportlog", "tx", "durations")
    named = any("::" in argument for argument in config.args)
    return named or config.get_verbosity() > 0 or any(config.getoption(name, default=None) for name in chosen)


def count(session: pytest.Session, number: int) -> None:
    """Add cases that hold, and that nobody asked to see, to the run's passed tests."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    session.testscollected += number
    if reporter is not None and number:
        passed = pytest.TestReport("", ("", None, ""), {}, "passed", None, "call")
        reporter.stats.setdefault("passed", []).extend([passed] * number)


def run(item: KnownItem) -> None:
    """Report one item as passed, failed, or waived (an expected failure whose reason shows in the summary)."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    text = None
    if item.waived:
        outcome = "skipped"
    elif item.failure:
        outcome, text = "failed", item.failure
    report = pytest.TestReport(
        item.nodeid, item.location, dict(item.keywords) if outcome != "passed" else {}, outcome, text, "call", duration=0, user_properties=item.user_properties
    )
    if item.waived:
        report.wasxfail = f"waived: {item.waived}"
    hook.pytest_runtest_logreport(report=report)
    # The end of a test is where JUnit's writer takes its properties.
    end = pytest.TestReport(item.nodeid, item.location, {}, "passed", None, "teardown", duration=0, user_properties=item.user_properties)
    hook.pytest_runtest_logreport(report=end)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _waiver(case: Case, verdict: Verdict) -> str:
    """The reasons of a case's waivers, or nothing when any finding of it is not waived."""
    if not case.findings or any(finding not in verdict.waived for finding in case.findings):
        return ""
    return "; ".join(dict.fromkeys(verdict.waived[finding] for finding in case.findings))


def _properties(case: Case, waived: str) -> Iterable[tuple[str, object]]:
    """What JUnit's readers get besides the block."""
    yield "rule", case.rule.id
    yield "subject", case.subject
    for finding in case.findings:
        yield "location", str(finding.location)
        yield "severity", str(finding.severity)
    yield from (("control", control) for control in case.rule.controls)
    if waived:
        yield "waiver", waived
