"""Rules that hold what a repository pins to its register of lifecycles (LIF301 to LIF307)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from harness.engines.register import NOTICE_DAYS, State, judge, line_of
from harness.flux.kinds import HELM_RELEASE
from harness.model import Location, NotEvaluated, Severity
from harness.model.pods import TEMPLATES
from harness.rules.base import Clusters, Objects, Registry, Violation, WholeRepository, violation
from harness.rules.lif_facts import FLUX, KUBERNETES, PRODUCTS
from harness.rules.lif_intent import PATH, Pinned, of_world, pinned, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.context import Context

LIF: Final = Registry()

#: How old what was looked up may be.
STALE: Final = timedelta(days=90)
_PINNING: Final = Objects((*TEMPLATES, HELM_RELEASE, "ConfigMap"))


def _by_object(world: World) -> dict[Object, list[Pinned]]:
    found: dict[Object, list[Pinned]] = defaultdict(list)
    for each in world.derive(pinned):
        found[each.object].append(each)
    return found


def _judged(item: Object, world: World, *states: State) -> Iterator[Violation]:
    for each in world.derive(_by_object).get(item, ()):
        if each.entry is None or not each.counts:
            continue
        verdict = judge(each.entry.component, each.version, world.today)
        if verdict.state in states:
            yield violation(item, *each.at, found=f"{each.what}: {verdict.reason}", expect=f"a supported release line ({each.entry.source})")


@LIF.rule(
    "LIF301",
    title=f"nothing is pinned to a release line that {PATH} says is over",
    why="a release line past its end gets no security fixes: what is found in it stays open, for everybody to read about (NIST SP 800-53, SA-22)",
    fix="upgrade to a supported line; where that cannot be done yet, waive it with the reason and a date",
    scope=_PINNING,
    controls=("NIST-SA-22", "NIST-SI-2"),
)
def over(item: Object, world: World) -> Iterator[Violation]:
    yield from _judged(item, world, State.OVER)


@LIF.rule(
    "LIF302",
    title=f"nothing is pinned to a release line that ends within {NOTICE_DAYS} days",
    why="an upgrade takes weeks: charts, values, a test on a cluster; who starts on the day of the end runs without fixes until it is done",
    fix="plan the upgrade to the next line now",
    scope=_PINNING,
    severity=Severity.WARNING,
    controls=("NIST-SA-22", "NIST-SI-2"),
)
def ending(item: Object, world: World) -> Iterator[Violation]:
    yield from _judged(item, world, State.ENDING)


@LIF.rule(
    "LIF303",
    title=f"every image, chart and version that is pinned has a component and a cycle in {PATH}",
    why="what is not in the register, nobody watches: its end passes unnoticed",
    fix=f"add the component with its policy and source to {PATH}, or the cycle",
    scope=_PINNING,
    own_only=True,
    controls=("NIST-CM-8", "NIST-SA-22"),
)
def registered(item: Object, world: World) -> Iterator[Violation]:
    if world.derive(of_world) is None:
        return
    for each in world.derive(_by_object).get(item, ()):
        if each.entry is None:
            yield violation(item, *each.at, found=f"{each.what} is no component of the register", expect=f"an entry in {PATH}")
        elif each.counts and judge(each.entry.component, each.version, world.today).state is State.UNKNOWN:
            reason = judge(each.entry.component, each.version, world.today).reason
            yield violation(item, *each.at, found=f"{each.what}: {reason}", expect=f"a cycle in {PATH}")


@LIF.rule(
    "LIF304",
    title=f"every component of {PATH} is pinned by something",
    why="an entry that speaks of nothing looks like care and is none: the component was renamed, or is gone",
    fix=f"delete the entry, correct what it is told by, or name its clusters in {PATH}",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-CM-8",),
)
def entries_used(world: World) -> Iterator[Violation]:
    register = world.derive(of_world)
    if register is None:
        return
    used = {each.entry.index for each in world.derive(pinned) if each.entry is not None}
    for entry in register.entries:
        if entry.holds_in(world.cluster.name) and entry.index not in used:
            found = f"nothing in {world.cluster.name} is {entry.component.name}"
            yield Violation(found, "entries that are used, with clusters: where not all use them", register.locate("components", entry.index))


@LIF.rule(
    "LIF305",
    title=f"what {PATH} says was looked up in the last {STALE.days} days",
    why="ends of life are announced and moved; a register that nobody compares with its sources is right by chance",
    fix="compare the entries with their sources, correct them, and write the day in checked",
    scope=WholeRepository(),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def fresh(context: Context) -> Iterator[Violation]:
    register = read(context.repository)
    if register is None or register.faults:
        return
    if context.today - register.checked > STALE:
        yield Violation(f"checked: {register.checked.isoformat()}", f"a day after {context.today - STALE}", register.locate("checked"))
    for entry in register.entries:
        if entry.checked != register.checked and context.today - entry.checked > STALE:
            where = register.locate("components", entry.index, "checked")
            yield Violation(f"{entry.component.name} checked: {entry.checked.isoformat()}", f"a day after {context.today - STALE}", where)
    if register.checked > context.today:
        yield Violation(f"checked: {register.checked.isoformat()}", "a day that has been", register.locate("checked"))


@LIF.rule(
    "LIF306",
    title=f"{PATH} can be read",
    why="a register that cannot be read judges nothing; without one, nobody has said what is supported until when",
    fix="write it: checked, and components with what they are told by, policy, source and cycles",
    scope=WholeRepository(),
    controls=("NIST-CM-3",),
)
def readable(context: Context) -> Iterator[Violation]:
    register = read(context.repository)
    if register is None:
        if context.own:
            yield Violation(f"no {PATH}", "a register of lifecycles", Location(PATH))
        return
    for fault in register.faults:
        yield Violation(fault.message, "a file that fits its schema", fault.location)


@LIF.rule(
    "LIF307",
    title=f"{PATH} and the facts that the harness brings agree",
    why="two records of one date, one of them wrong: whichever a rule reads, somebody is told the wrong day",
    fix=f"find out at the source; correct {PATH}, or tests/harness/rules/lif_facts.py",
    scope=WholeRepository(),
    own_only=True,
    controls=("NIST-SA-22",),
)
def agreeing(context: Context) -> Iterator[Violation]:
    register = read(context.repository)
    if register is None or register.faults:
        return
    facts = {product.name: product for product in (*PRODUCTS, KUBERNETES, FLUX)}
    for entry in register.entries:
        product = facts.get(entry.component.name)
        if product is None:
            continue
        for cycle in product.cycles:
            line = line_of(entry.component, cycle.version)
            if line is not None and line.name == cycle.version and line.ends != cycle.ends:
                found = f"{entry.component.name} {line.name} ends {line.ends or 'at no stated date'}, in the harness {cycle.ends or 'at no stated date'}"
                at = [each.name for each in entry.component.lines].index(line.name)
                yield Violation(found, "one date", register.locate("components", entry.index, "cycles", at, "ends"))


def not_evaluated(world: World) -> list[NotEvaluated]:
    """What is pinned without a version that could be judged."""
    if world.derive(of_world) is None:
        return [NotEvaluated(world.cluster.name, "lifecycles (LIF301 to LIF304)", f"there is no usable {PATH}")]
    unread = [each for each in world.derive(pinned) if each.entry is not None and each.counts]
    return [
        NotEvaluated(str(each.object.id), f"the lifecycle of {each.what}", verdict.reason)
        for each in unread
        if (verdict := judge(each.entry.component, each.version, world.today)).state is State.UNREADABLE  # type: ignore[union-attr]
    ]


RULES: Final = tuple(LIF.rules)
