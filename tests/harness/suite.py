"""The main job: build every cluster, hold every rule against it, and say what was not looked at."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

from harness.compliance.kept import keep, key_of, recall
from harness.compliance.verdict import Check, Verdict
from harness.compliance.waivers import load_waivers
from harness.engines import kubeconform
from harness.flux.discovery import manifests
from harness.model import NotEvaluated
from harness.report.generated import generated_files
from harness.rules import all_rules, gaps
from harness.rules.context import Context
from harness.rules.engine import Case, evaluate_repository, evaluate_world, unmatched
from harness.rules.forked import Forks
from harness.rules.pol_cases import Bench
from harness.rules.yml import generator_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Finding
    from harness.rules.base import Rule

#: The waivers of a repository that has any.
WAIVERS = "tests/intent/waivers.yaml"
#: What tells this project from any other repository.
_OWN = "tests/harness/suite.py"


def prove(workspace: Workspace, *, progress: Callable[[str], None] = lambda _message: None, second_opinion: bool = False) -> Verdict:
    """Hold every rule against the repository. ``progress`` is told which cluster is being built.

    ``second_opinion`` asks kubeconform about every rendered object too. Raises KubeconformError when it cannot be had.
    """
    with _no_collection():
        key = None if second_opinion else key_of(workspace)
        known = recall(workspace, key) if key is not None else None
        if known is not None:
            return known
        verdict = _prove(workspace, progress, second_opinion)
        if key is not None:
            keep(workspace, key, verdict)
        return verdict


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of small objects that live to the end make the cycle collector a quarter of the run, for nothing: worlds hold no cycles worth collecting."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # What is there now stays to the end: no later collection need look at it.
        gc.freeze()
        if enabled:
            gc.enable()


def _prove(workspace: Workspace, progress: Callable[[str], None], second_opinion: bool) -> Verdict:
    own = workspace.repository.exists(_OWN)
    rules = [rule for rule in all_rules() if own or not rule.own_only]
    verdict = Verdict(own=own)
    if len(workspace.selected) < len(workspace.clusters):
        left_out = [rule for rule in rules if rule.every_cluster]
        verdict.ledger += [NotEvaluated(rule.id, rule.title, "only some of the clusters were looked at") for rule in left_out]
        rules = [rule for rule in rules if not rule.every_cluster]
    context = Context(workspace.repository, workspace.today, own)
    forks = Forks()
    cases = None
    # What is compiled before the children start, they all have; the first cluster's build leaves the time for it.
    compiling = Thread(target=partial(_compile_policies, workspace), daemon=True)
    if own:
        compiling.start()
    checked = []
    for root in workspace.selected:
        progress(f"building {root.name} ({root.path or '.'})")
        world = workspace.world(root)
        progress(f"checking {root.name}: {len(world.objects)} objects")
        if own and cases is None:
            compiling.join()
            cases = forks.start(partial(_policy_cases, workspace))
        # The next cluster is built while the rules look at this one.
        checked.append(forks.start(partial(_check, world, rules)))
        verdict.objects[root.name] = len(world.objects)
        if second_opinion:
            progress(f"asking kubeconform about {root.name}")
            verdict.opinions += _second_opinion(world)
        context.add(world)
    with workspace.phase("rules"):
        by_id = {rule.id: rule for rule in rules}
        for pending in checked:
            found, entries = pending.result()
            verdict.cases += [Case(by_id[rule], subject, findings) for rule, subject, findings in found]
            verdict.ledger += entries
        files = _files(workspace, context)
        for path in files:
            workspace.repository.documents(path)
        data = generator_inputs(workspace.repository)
        context.problems += [problem for problem in workspace.repository.problems if problem.location.path not in data]
        verdict.cases += evaluate_repository(context, rules, files)
    verdict.ledger += unmatched(rules, verdict.cases)
    if cases is not None:
        verdict.checks += [*cases.result(), *_documents(workspace)]
    _waive(workspace, verdict)
    return verdict


def _check(world: World, rules: list[Rule]) -> tuple[list[tuple[str, str, tuple[Finding, ...]]], list[NotEvaluated]]:
    """The cases of a cluster, each by the id of its rule, and what was not evaluated."""
    cases = [(case.rule.id, case.subject, case.findings) for case in evaluate_world(world, rules)]
    return cases, [*gaps(world), *world.not_evaluated, *_elided(world)]


def _compile_policies(workspace: Workspace) -> None:
    """Compile every policy; programs are kept by their text."""
    bench = Bench.of_policies(workspace.repository)
    for policy in bench.policies:
        bench.compile(policy)


def _policy_cases(workspace: Workspace) -> list[Check]:
    """What the cases of the policies came to, in groups ``allowed`` and ``denied``."""
    bench = Bench.of_repository(workspace.repository)
    return [Check(case.outcome, case.id, bench.complaint(case)) for case in bench.cases]


def _documents(workspace: Workspace) -> Iterator[Check]:
    """Whether the generated documents are current."""
    for path, text in generated_files(workspace):
        current = workspace.repository.is_file(path) and workspace.repository.text(path) == text
        yield Check("generated", path, "" if current else f"{path} is not what it is generated to be: `nox -s docs` rewrites it")


def _second_opinion(world: World) -> Iterator[str]:
    bodies = [item.body for item in world.objects if not item.origin.elided]
    names = [item.id for item in world.objects if not item.origin.elided]
    for found in kubeconform.disagreements(bodies, world.schemas, kubeconform.run(bodies, world.schemas)):
        verdict = f"only kubeconform refuses it: {found.theirs}" if found.theirs else f"kubeconform accepts it, we do not: {'; '.join(found.ours)}"
        yield f"{names[found.index]}: {verdict}"


def _elided(world: World) -> Iterator[NotEvaluated]:
    """What stands in the lock as digests, where no chart was at hand."""
    number = sum(1 for item in world.objects if item.origin.elided)
    if number:
        yield NotEvaluated(world.cluster.name, f"opaque text of {number} rendered objects", "no chart is at hand, and the lock keeps such text as digests")


def _files(workspace: Workspace, context: Context) -> tuple[str, ...]:
    """The YAML files that the clusters are made from, or could be: those of the top-level folders that hold a cluster or something one builds."""
    reached = [root.path for root in workspace.clusters] + [path for summary in context.clusters.values() for path in summary.reached]
    folders = {path.partition("/")[0] for path in reached}
    return tuple(path for path in manifests(workspace.repository) if "" in folders or path.partition("/")[0] in folders)


def _waive(workspace: Workspace, verdict: Verdict) -> None:
    """Apply the repository's waivers, if it has any, and hold the rules about waivers against them."""
    waivers = load_waivers(workspace.repository, WAIVERS, today=workspace.today)
    verdict.waived = waivers.apply(verdict.cases)
    if workspace.repository.exists(WAIVERS):
        verdict.cases += waivers.judge(complete=len(workspace.selected) == len(workspace.clusters))
