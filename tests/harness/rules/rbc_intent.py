"""Rules that hold the rights of a cluster against tests/intent/access.yaml (RBC2xx).

The form of the file is ``rbc_common.SCHEMA``; what its words mean is told at the head of this project's own file, and in ``rbc_cells``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.engines.rbac.dangers import BY_ID
from harness.model import Location, NotEvaluated
from harness.rules.base import Clusters, Registry, Violation, WholeRepository
from harness.rules.rbc_cells import ALL, CLUSTER, OTHERS, OWN, Rights, beyond, known_subjects, matched, namespaces, rows
from harness.rules.rbc_common import BINDINGS, FILE, SCHEMA, access, entries_for, holdings, intent, places_of, usable
from harness.rules.rbc_paths import chains
from harness.source.intent import FOLDER, read_intent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Pointer
    from harness.rules.context import Context
    from harness.source.intent import Intent

RBC: Final = Registry()
_PATH: Final = f"{FOLDER}/{FILE}"
_TOPICS: Final = frozenset({"everything", "nodes:drain"} | {danger.id for danger in BY_ID.values() if danger.topic != "lends"})


@RBC.rule(
    "RBC201",
    title="tests/intent/access.yaml says who may do what, in words that can be held against a cluster",
    why="rights that nobody wrote down are judged by nobody; a table with a slip in it is passed over",
    fix=f"write {_PATH} with namespaces, access, dangerous and administrators, in the form that the finding names",
    scope=WholeRepository(),
    controls=("NIST-AC-2", "NIST-AC-3"),
)
def intent_is_usable(context: Context) -> Iterator[Violation]:
    found = read_intent(context.repository, FILE, SCHEMA)
    if found is None:
        if context.own:
            yield Violation(f"there is no {_PATH}", "who may do what", Location(_PATH))
        return
    for fault in found.faults:
        yield Violation(fault.message, "namespaces, access, dangerous and administrators, of the form that their schema gives", fault.location)
    if not found.faults:
        yield from _odd_words(found, context)


def _odd_words(found: Intent, context: Context) -> Iterator[Violation]:
    """Names that no cluster has, and rights that are none."""
    for section in ("access", "dangerous", "administrators"):
        for index, entry in enumerate(found.body[section]):
            for position, cluster in enumerate(entry.get("clusters", ())):
                if context.clusters and cluster not in context.clusters:
                    yield Violation(f"there is no cluster {cluster}", "a cluster of this repository", found.locate(section, index, "clusters", position))
    for index, entry in enumerate(found.body["access"]):
        for side in ("can", "cannot"):
            for words, line in entry.get(side, {}).items():
                for verbs, resources in line.items():
                    for position, resource in enumerate(resources):
                        if resource.startswith("@") and resource[1:] not in found.body.get("resources", {}):
                            place = found.locate("access", index, side, words, verbs, position)
                            yield Violation(f"there is no group of resources {resource}", "a key of resources", place)
    for index, entry in enumerate(found.body["dangerous"]):
        for position, right in enumerate(entry["rights"]):
            if right not in _TOPICS:
                yield Violation(f"{right} is no dangerous right", f"one of {', '.join(sorted(_TOPICS))}", found.locate("dangerous", index, "rights", position))


@RBC.rule(
    "RBC202",
    title="every cell of the table of access holds: what may be done is allowed, what may not be done is not",
    why="a right too many is found by whoever looks for it; a right too few is found at night (NIST AC-3: access enforcement)",
    fix=f"change the role or binding that is named, or the cell in {_PATH}",
    scope=Clusters(),
    controls=("NIST-AC-3", "NIST-AC-6"),
)
def cells_hold(world: World) -> Iterator[Violation]:
    listed = usable(world)
    if listed is None:
        return
    for row in rows(world):
        rights = Rights(world, row.subject)
        wrong: dict[tuple[Pointer, bool], list[str]] = defaultdict(list)
        for line in row.lines:
            for target, words in rights.missing(line) if line.allowed else rights.touched(line):
                wrong[target.at, line.allowed].append(words)
        for (at, allowed), several in wrong.items():
            expect = "a rule that allows it" if allowed else "no rule that allows it"
            yield Violation(f"{row.subject} {'may not' if allowed else 'may'} {_some(several)}", expect, listed.locate(*at))
        if row.only:
            more = [f"{str(atom).strip()} by {held.binding} and {held.grant}" for atom, held in beyond(rights, row.lines).items()]
            if more:
                yield Violation(f"{row.subject} may also {_some(more)}", "nothing that the row does not say", listed.locate("access", row.position, "only"))


def _some(told: list[str]) -> str:
    return told[0] + (f", and {len(told) - 1} more like it" if len(told) > 1 else "")


@RBC.rule(
    "RBC203",
    title="the table of access speaks of every namespace, of everyone who is bound and of every service account",
    why="what the table leaves out is held against nothing",
    fix=f"add the namespace to a group, or the subject to a row of {_PATH}",
    scope=Clusters(),
    controls=("NIST-AC-2",),
)
def table_is_whole(world: World) -> Iterator[Violation]:
    listed = usable(world)
    if listed is None:
        return
    groups = listed.body["namespaces"]
    homes: dict[str, list[str]] = defaultdict(list)
    for group, names in groups.items():
        for name in names:
            homes[name].append(group)
    for item in world.of("Namespace"):
        if item.name not in homes:
            yield Violation(f"namespace {item.name} is in no group of {_PATH}", "a group of namespaces", item.locate("metadata", "name"))
    for name, several in homes.items():
        if len(several) > 1:
            yield Violation(
                f"namespace {name} is in {' and '.join(several)}", "one group", listed.locate("namespaces", several[1], groups[several[1]].index(name))
            )
    spoken = {str(row.subject) for row in rows(world)}
    for text, subject in known_subjects(world).items():
        if text not in spoken:
            yield Violation(f"{text} is in no row of {_PATH}", "a row for it", _where(world, text, subject.namespace, subject.name))


def _where(world: World, text: str, namespace: str, name: str) -> Location:
    """Where a subject comes from: its object, the binding that names it, or the namespace that has it."""
    item = world.find("ServiceAccount", namespace, name) if text.startswith("sa:") else None
    if item is not None:
        return item.locate("metadata", "name")
    for binding in access(world).policy.bindings:
        for position, subject in enumerate(binding.subjects):
            if binding.object is not None and str(subject) == text:
                return binding.object.locate("subjects", position)
    home = world.find("Namespace", "", namespace)
    return home.locate("metadata", "name") if home is not None else Location(_PATH)


@RBC.rule(
    "RBC204",
    title="every entry of tests/intent/access.yaml speaks of something that is there",
    why="an entry that matches nothing is a slip, or a reason for a right that nobody has any more and that would be given back unseen",
    fix=f"delete the entry from {_PATH}, correct its name, or say with clusters where it holds",
    scope=Clusters(),
    controls=("NIST-AC-2",),
)
def entries_match(world: World) -> Iterator[Violation]:
    listed = usable(world)
    if listed is None:
        return
    cluster, present = world.cluster.name, set(namespaces(world))
    known = known_subjects(world)
    groups = listed.body["namespaces"]
    for group, names in groups.items():
        for position, name in enumerate(names):
            if name not in present:
                yield Violation(f"{cluster} has no namespace {name}", "a namespace of every cluster", listed.locate("namespaces", group, position))
    for index, entry in entries_for(listed, "access", cluster):
        for position, words in enumerate(entry["subjects"]):
            if not any(str(subject) in known or words in _WITHOUT_BINDING for subject in matched(world, words)):
                yield Violation(f"{cluster} has nobody who is {words}", "a subject that exists", listed.locate("access", index, "subjects", position))
        for side in ("can", "cannot"):
            for words in entry.get(side, ()):
                odd = sorted(word for word in words.replace(",", " ").split() if word not in {*present, *groups, ALL, CLUSTER, OTHERS, OWN})
                if odd:
                    yield Violation(
                        f"{cluster} has no namespace {', '.join(odd)}", "a namespace or a group of them", listed.locate("access", index, side, words)
                    )
    yield from _stale_dangers(world, listed)
    leading = {str(subject) for subject in chains(world)}
    for index, entry in entries_for(listed, "administrators", cluster):
        for position, words in enumerate(entry["subjects"]):
            if words not in leading:
                told = f"{words} comes neither to the cluster nor to a node in {cluster}"
                yield Violation(told, "a subject with such a chain", listed.locate("administrators", index, "subjects", position))


#: Subjects that every cluster has, bound or not.
_WITHOUT_BINDING: Final = frozenset(
    {"user:system:anonymous", "group:system:authenticated", "group:system:unauthenticated", "group:system:serviceaccounts", "user:somebody"}
)


def _stale_dangers(world: World, listed: Intent) -> Iterator[Violation]:
    held: dict[tuple[str, str], set[str]] = defaultdict(set)
    for holding in holdings(world):
        held[holding.who, holding.right.danger.id].add(holding.namespace)
    for index, entry in entries_for(listed, "dangerous", world.cluster.name):
        for position, who in enumerate(entry["subjects"]):
            for right in entry["rights"]:
                has, wanted = held.get((who, right), set()), places_of(entry, who)
                unmet = sorted(wanted - has)
                if unmet:
                    where = "anywhere" if not has else f"in {', '.join(unmet).replace('*', 'every namespace')}"
                    told = f"{who} does not have {right} {where} in {world.cluster.name}"
                    yield Violation(told, "a right that is held", listed.locate("dangerous", index, "subjects", position))


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    if intent(world) is None and world.of(*BINDINGS):
        yield NotEvaluated("RBC202, RBC203, RBC204", "the table of access", f"there is no {_PATH}")


RULES: Final = tuple(RBC.rules)
