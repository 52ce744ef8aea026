"""Runs rules over subjects in one pass and turns what they say into cases."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.model import Finding, NotEvaluated
from harness.rules.base import Clusters, Files, Objects, Rule, Violation, WholeRepository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.flux.world import World
    from harness.model import Problem
    from harness.rules.context import Context

#: The subject of rules over the repository as a whole.
REPOSITORY = "repository"


@dataclass(frozen=True, slots=True)
class Case:
    """One rule held against one subject. No findings: it holds."""

    rule: Rule
    subject: str
    findings: tuple[Finding, ...] = ()

    @property
    def id(self) -> str:
        """``FLX104-production/Kustomization/flux-system/cert-manager``: what is pasted into ``-k``."""
        return f"{self.rule.id}-{self.subject}"


def evaluate_world(world: World, rules: Iterable[Rule]) -> list[Case]:
    """Every case of one cluster: the rules over objects and over clusters.

    Problems that a rule claims and that concern something that is no object of the world (because it could not even be
    built) become cases of that rule too, so that none is lost.
    """
    cases: list[Case] = []
    # One text for each object, not one for each case: there are a hundred times as many.
    names = {item.id: str(item.id) for item in world.objects}
    for rule in rules:
        if isinstance(rule.scope, Objects):
            subjects = world.of(*rule.scope.kinds) if rule.scope.kinds else world.objects
            where = rule.scope.where
            cases += [_case(rule, names[item.id], rule.check(item, world)) for item in subjects if where is None or where(item)]
        elif isinstance(rule.scope, Clusters):
            cases.append(_case(rule, world.cluster.name, rule.check(world)))
    cases += list(_orphans(world.problems, rules, cases))
    return cases if len(set(names.values())) == len(names) else _unique(cases)


def evaluate_repository(context: Context, rules: Iterable[Rule], files: Sequence[str]) -> list[Case]:
    """Every case of the repository itself: the rules over files and over the whole. Call it after every world was added to the context."""
    cases: list[Case] = []
    for rule in rules:
        if isinstance(rule.scope, Files):
            where = rule.scope.where
            cases += [_case(rule, path, rule.check(path, context)) for path in files if where is None or where(path)]
        elif isinstance(rule.scope, WholeRepository):
            cases.append(_case(rule, REPOSITORY, rule.check(context)))
    return [*cases, *_orphans(context.problems, rules, cases)]


def unmatched(rules: Iterable[Rule], cases: Iterable[Case]) -> list[NotEvaluated]:
    """The rules that met no subject at all, each with what it looked for."""
    met = {case.rule.id for case in cases}
    return [NotEvaluated(rule.id, rule.title, f"nothing here is {_sought(rule)}") for rule in rules if rule.id not in met]


def _sought(rule: Rule) -> str:
    scope = rule.scope
    if isinstance(scope, Objects):
        narrowed = " that the rule speaks of" if scope.where else ""
        kinds = " or ".join(kind.partition(".")[0] for kind in scope.kinds) if len(scope.kinds) < 4 else f"any of its {len(scope.kinds)} kinds"
        return f"of {'' if len(scope.kinds) > 3 else 'kind '}{kinds}{narrowed}" if scope.kinds else "an object that the rule speaks of"
    return {Files: "a file that the rule speaks of", Clusters: "a cluster", WholeRepository: "this project"}[type(scope)]


def _case(rule: Rule, subject: str, violations: Iterable[Violation]) -> Case:
    findings = tuple(Finding(rule.id, subject, item.location, item.found, item.expect, rule.why, item.fix or rule.fix, rule.severity) for item in violations)
    return Case(rule, subject, findings)


def _orphans(problems: Iterable[Problem], rules: Iterable[Rule], cases: Sequence[Case]) -> Iterator[Case]:
    """Claimed problems whose subject met no case of the claiming rule: where it did, the rule has decided."""
    claimed = {code: rule for rule in rules for code in rule.claims}
    claiming = {rule.id for rule in claimed.values()}
    met = {(case.rule.id, case.subject) for case in cases if case.rule.id in claiming}
    lost: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        rule = claimed.get(problem.code)
        if rule is not None and (rule.id, problem.subject) not in met:
            lost[rule.id, problem.subject].append(problem)
    by_id = {rule.id: rule for rule in rules}
    for (rule_id, subject), found in sorted(lost.items()):
        rule = by_id[rule_id]
        yield _case(rule, subject, (Violation(item.message, rule.title, item.location) for item in found))


def _unique(cases: list[Case]) -> list[Case]:
    """Merge cases with the same id (two objects whose printed ids are equal differ in their group only)."""
    merged: dict[str, Case] = {}
    for case in cases:
        known = merged.get(case.id)
        merged[case.id] = case if known is None else replace(known, findings=known.findings + case.findings)
    return list(merged.values())
