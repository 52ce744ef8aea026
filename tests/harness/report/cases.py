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


class CaseItem(pytest.Item):
    """One case. Its findings are already known when it is collected; running it reports them."""

    def __init__(self, *, case: Case, waived: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.case = case
        self.waived = waived
        self.user_properties += _properties(case, waived)

    def reportinfo(self) -> tuple[str, int | None, str]:
        return str(self.path), None, self.case.id

    def runtest(self) -> None:
        """Never called: :func:`run` reports the case."""
        raise NotImplementedError


def collect(parent: pytest.Module, family: Family, verdict: Verdict, *, clean: bool) -> list[CaseItem]:
    """The items of a family; ``clean`` asks for those of cases that hold too. A family without a single case is an error of collection."""
    cases = [case for case in verdict.cases if case.rule.family == family.name]
    if not cases:
        raise pytest.UsageError(f"no {family.name} rule met anything: nothing was checked")
    return [CaseItem.from_parent(parent, name=f"test_rule[{case.id}]", case=case, waived=_waiver(case, verdict)) for case in cases if clean or case.findings]


def clean_cases(family: Family, verdict: Verdict) -> int:
    """How many cases of a family hold."""
    return sum(1 for case in verdict.cases if case.rule.family == family.name and not case.findings)


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


def run(item: CaseItem) -> None:
    """Report one case as passed, failed, or waived (an expected failure whose reason shows in the summary)."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    text = None
    if item.waived:
        outcome = "skipped"
    elif item.case.findings:
        outcome, text = "failed", "\n\n".join(block(finding) for finding in item.case.findings)
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
