"""Whether the rows of a test hold.

Stricter than Kyverno's command line in one point: a row whose policy or object matched nothing fails. There, an object that a policy is not
about counts as passed, whatever was expected, and a name that no object has stands for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.model.shapes import items, mapping, text
from harness.policytest.compare import differences, expected_in
from harness.policytest.files import InputError
from harness.policytest.judge import Observation, Subject, judge
from harness.policytest.setting import load

if TYPE_CHECKING:
    from pathlib import Path

    from harness.policytest.files import Row, TestFile
    from harness.policytest.setting import Json, Setting


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "FAIL"
    NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True, slots=True)
class RowResult:
    """How a row turned out for one object; ``subject`` is empty when there is none. ``got`` is what the policy said."""

    row: Row
    subject: str
    outcome: Outcome
    got: str = ""
    message: str = ""
    excluded: bool = False
    """The policy is not about the object."""


def run_test(test: TestFile) -> list[RowResult]:
    """The results of all rows of a test, one for each object of a row. Raises InputError when the test cannot be loaded."""
    if test.problems:
        raise InputError("; ".join(test.problems))
    setting = load(test)
    judged: dict[str, list[Subject]] = {}
    results: list[RowResult] = []
    for row in test.rows:
        if row.problems:
            results.append(RowResult(row, "", Outcome.FAIL, message="; ".join(row.problems)))
            continue
        if row.operation not in judged:
            judged[row.operation] = judge(setting, row.operation)
        results += _check(row, setting, judged[row.operation], test.path.parent)
    return results


def _check(row: Row, setting: Setting, subjects: list[Subject], folder: Path) -> list[RowResult]:
    policies = [body for body in setting.policies if text(mapping(body.get("metadata")).get("name")) == row.policy_name]
    if not policies:
        return [RowResult(row, "", Outcome.FAIL, message=f"there is no policy {row.policy}")]
    blocked = _blocked(row, policies, setting)
    if blocked is not None:
        return [blocked]
    chosen, missing = _chosen(row, subjects)
    results = [RowResult(row, name, Outcome.FAIL, message=f"there is no object {name}") for name in missing]
    every = not (row.resources or row.specs)
    checked = [result for subject in chosen for result in _check_subject(row, subject, folder)]
    if every:
        # A row about all objects is about those that the policy is about.
        about = [result for result in checked if not result.excluded]
        checked = about or [RowResult(row, "", Outcome.FAIL, message=f"the policy {row.policy} is about none of the objects", excluded=True)]
    return results + checked


_MODES = ("HTTP", "Envoy")


def _blocked(row: Row, policies: list[Json], setting: Setting) -> RowResult | None:
    """Why a row cannot be evaluated at all, or names a rule that its policy does not have."""
    kinds = {text(body.get("kind")) for body in policies}
    modes = [text(mapping(mapping(body.get("spec")).get("evaluation")).get("mode")) for body in policies]
    if all(mode in _MODES for mode in modes):
        return RowResult(row, "", Outcome.NOT_EVALUATED, message=f"policies of mode {' and '.join(sorted(set(modes)))} are not evaluated")
    if kinds <= {"DeletingPolicy", "NamespacedDeletingPolicy"} and setting.payloads and not setting.resources:
        return RowResult(row, "", Outcome.NOT_EVALUATED, message="deleting policies are not evaluated on JSON payloads")
    if kinds <= {"ClusterPolicy", "Policy"} and row.rule:
        rules = [mapping(rule) for body in policies for rule in items(mapping(body.get("spec")).get("rules"))]
        name = row.rule.removeprefix("autogen-cronjob-").removeprefix("autogen-")
        named = [rule for rule in rules if rule.get("name") in (row.rule, name)]
        if not named:
            return RowResult(row, "", Outcome.FAIL, message=f"the policy {row.policy} has no rule {row.rule}")
        if not any("cel" in mapping(rule.get("validate")) for rule in named):
            what = next((key for key in ("validate", "mutate", "generate", "verifyImages") if key in named[0]), "other")
            return RowResult(row, "", Outcome.NOT_EVALUATED, message=f"{what} rules of {min(kinds)} are not evaluated (but validate.cel)")
    return None


def _named(row: Row, name: str, namespace: str) -> bool:
    return name == row.policy_name and (not namespace or not row.policy_namespace or namespace == row.policy_namespace)


def _chosen(row: Row, subjects: list[Subject]) -> tuple[list[Subject], list[str]]:
    """The objects a row is about, and the names that no object has."""
    if not row.resources and not row.specs:
        return subjects, []
    found: list[Subject] = []
    missing: list[str] = []
    for name in row.resources:
        namespace, _, own = name.rpartition("/") if name.count("/") == 1 else ("", "", name)
        matched = [subject for subject in subjects if subject.name == own and (not namespace or subject.key[2] == namespace)]
        matched = matched or [subject for subject in subjects if subject.name == name]
        of_kind = [subject for subject in matched if row.kind and subject.key[1] == row.kind]
        in_namespace = [subject for subject in of_kind or matched if row.namespace and subject.key[2] == row.namespace]
        matched = in_namespace or of_kind or matched
        missing += [] if matched else [name]
        found += [subject for subject in matched if subject not in found]
    for api_version, namespace, name in row.specs:
        matched = [subject for subject in subjects if (subject.key[0], subject.name) == (api_version, name) and namespace in (subject.key[2], "")]
        missing += [] if matched else [f"{api_version} {name}"]
        found += [subject for subject in matched if subject not in found]
    return found, missing


def _check_subject(row: Row, subject: Subject, folder: Path) -> list[RowResult]:
    said = [each for each in subject.observations if _named(row, each.policy.name, each.policy.namespace)]
    legacy = any(each.policy.kind in ("ClusterPolicy", "Policy") for each in said)
    if row.rule and legacy:
        names = {row.rule, f"autogen-{row.rule}", f"autogen-cronjob-{row.rule}"}
        said = [each for each in said if each.rule in names or each.policy.kind not in ("ClusterPolicy", "Policy")]
    if not said:
        # Not to be about an object is a way of skipping it.
        outcome = Outcome.OK if row.result == "skip" else Outcome.FAIL
        message = "" if outcome is Outcome.OK else f"the policy {row.policy} is not about {subject}"
        return [RowResult(row, str(subject), outcome, "nothing", message, excluded=True)]
    return [_compare(row, subject, each, folder) for each in said]


def _compare(row: Row, subject: Subject, said: Observation, folder: Path) -> RowResult:
    if said.status == "not evaluated":
        return RowResult(row, str(subject), Outcome.NOT_EVALUATED, said.status, said.message)
    problem = _object_problem(row, said, folder)
    if problem is not None:
        return RowResult(row, str(subject), Outcome.FAIL, said.status, problem)
    if said.status != row.result:
        return RowResult(row, str(subject), Outcome.FAIL, said.status, said.message)
    return RowResult(row, str(subject), Outcome.OK, said.status, said.message)


def _object_problem(row: Row, said: Observation, folder: Path) -> str | None:
    """How the patched or generated objects differ from what a row expects of them."""
    try:
        if row.patched and said.patched is not None and said.status == "pass":
            expected = expected_in(folder, row.patched, said.patched)
            if expected is None:
                return f"{row.patched} has no object like the patched one" if row.fail_on_missing else None
            found = differences(said.patched, expected)
            return f"the patched object differs from {row.patched}: {'; '.join(found)}" if found else None
        if row.generated and said.generated:
            return next((problem for item in said.generated if (problem := _generated_problem(row, item, folder)) is not None), None)
        if row.generated and said.status == "pass":
            return "nothing was generated"
    except InputError as error:
        return str(error)
    return None


def _generated_problem(row: Row, item: dict[str, object], folder: Path) -> str | None:
    problems = []
    for name in row.generated:
        expected = expected_in(folder, name, item)
        if expected is None:
            continue
        found = differences(item, expected)
        if not found:
            return None
        problems += found
    return f"the generated object differs: {'; '.join(problems)}" if problems else f"{', '.join(row.generated)} has no object like the generated one"
