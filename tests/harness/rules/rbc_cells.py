"""The table of tests/intent/access.yaml, taken apart into cells and held against a cluster."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.rbac.atoms import EVERYWHERE, Atom, atoms_of_rule, includes
from harness.engines.rbac.rules import Request, allows, resource_matches, url_matches
from harness.rules.rbc_common import access, entries_for, subject_or_none, usable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.engines.rbac.policy import Held
    from harness.engines.rbac.subjects import Subject
    from harness.flux.world import World
    from harness.model import Pointer

READ: Final = ("get", "list", "watch")
WRITE: Final = ("create", "update", "patch", "delete", "deletecollection")
#: Words for several verbs.
VERBS: Final = {"read": READ, "write": WRITE, "change": ("update", "patch"), "anything": (*READ, *WRITE, "bind", "escalate", "impersonate", "approve", "sign")}
#: Words for namespaces: outside of them, in each of them, in the service account's own, in those the row does not name otherwise.
CLUSTER, ALL, OWN, OTHERS = "cluster", "*", "own", "others"


class Target(NamedTuple):
    """What a cell is about: a resource of a group (``pods/log``; ``*`` is every one), by name where one is given, or a URL. ``at`` is where it is written."""

    group: str
    resource: str
    name: str
    path: str
    at: Pointer

    def __str__(self) -> str:
        base, slash, sub = self.resource.partition("/")
        return self.path or f"{base}{'.' + self.group if self.group else ''}{slash}{sub}{' ' + self.name if self.name else ''}"


class Line(NamedTuple):
    """Cells that share verbs and places. The empty place is a request outside of namespaces, or over all of them at once."""

    allowed: bool
    verbs: tuple[str, ...]
    places: tuple[str, ...]
    targets: tuple[Target, ...]


class Row(NamedTuple):
    """A row for one subject in one cluster. ``position`` is the entry's own."""

    position: int
    subject: Subject
    only: bool
    lines: tuple[Line, ...]


def told(verb: str, target: Target, place: str) -> str:
    """A cell in words."""
    return f"{verb} {target}" if target.path else f"{verb} {target} {f'in {place}' if place else 'in the cluster as a whole'}"


def known_subjects(world: World) -> dict[str, Subject]:
    """Everyone the table must speak of, as written: whom a binding of the repository names, every ServiceAccount, and each namespace's ``default``."""
    return world.derive(_known_subjects)


def _known_subjects(world: World) -> dict[str, Subject]:
    found = access(world)
    known = {subject for binding in found.policy.bindings if binding.object is not None for subject in binding.subjects if subject is not None}
    known |= {account for item in world.of("ServiceAccount") for account in found.around.accounts.get(item.namespace, ()) if account.name == item.name}
    known |= {account for item in world.of("Namespace") for account in found.around.accounts.get(item.name, ()) if account.name == "default"}
    return {str(subject): subject for subject in sorted(known, key=str)}


def matched(world: World, words: str) -> list[Subject]:
    """The subjects that a row's words stand for: one, or with ``*`` those of the cluster that match."""
    if "*" in words:
        return [subject for text, subject in known_subjects(world).items() if fnmatchcase(text, words)]
    subject = subject_or_none(words)
    return [subject] if subject is not None else []


def namespaces(world: World) -> tuple[str, ...]:
    return tuple(item.name for item in world.of("Namespace"))


def rows(world: World) -> tuple[Row, ...]:
    """Every row for every subject it stands for. Empty without a usable file."""
    return world.derive(_rows)


def _rows(world: World) -> tuple[Row, ...]:
    listed = usable(world)
    if listed is None:
        return ()
    table = _Table(listed.body["namespaces"], listed.body.get("resources", {}), namespaces(world))
    return tuple(
        Row(index, subject, entry.get("only") is True, tuple(_lines(index, entry, subject, table)))
        for index, entry in entries_for(listed, "access", world.cluster.name)
        for words in entry["subjects"]
        for subject in matched(world, words)
    )


class _Table(NamedTuple):
    """What the words of the file stand for: groups of namespaces and of resources, and the namespaces that there are."""

    groups: Mapping[str, list[str]]
    resources: Mapping[str, list[str]]
    present: tuple[str, ...]


def _lines(index: int, entry: Mapping[str, Any], subject: Subject, table: _Table) -> Iterator[Line]:
    sides = ("can", "cannot")
    named = {place for side in sides for words in entry.get(side, ()) for place in _named(words, subject, table.groups)} - {ALL, CLUSTER, OTHERS}
    for side in sides:
        for words, line in entry.get(side, {}).items():
            places = tuple(dict.fromkeys(_places(words, subject, table, named)))
            for verbs, listed in line.items():
                several = tuple(dict.fromkeys(verb for word in verbs.split() for verb in VERBS.get(word, (word,))))
                targets = tuple(
                    _target(each, ("access", index, side, words, verbs, position))
                    for position, resource in enumerate(listed)
                    for each in (table.resources.get(resource[1:], ()) if resource.startswith("@") else (resource,))
                )
                yield Line(side == "can", several, places, targets)


def _named(words: str, subject: Subject, groups: Mapping[str, list[str]]) -> Iterator[str]:
    for word in words.replace(",", " ").split():
        if word == OWN:
            yield subject.namespace
        else:
            yield from groups.get(word, (word,))


def _places(words: str, subject: Subject, table: _Table, named: set[str]) -> Iterator[str]:
    for place in _named(words, subject, table.groups):
        if place == ALL:
            yield from table.present
        elif place == OTHERS:
            yield from (name for name in table.present if name not in named)
        elif place == CLUSTER:
            yield ""
        elif place in table.present:
            yield place


@cache
def _target(words: str, at: Pointer) -> Target:
    if words.startswith("/"):
        return Target("", "", "", words, at)
    resource, _, name = words.partition(" ")
    base, slash, subresource = resource.partition("/")
    plural, _, group = base.partition(".")
    return Target(group, f"{plural}{slash}{subresource}", name.strip(), "", at)


class Rights:
    """What a subject has, arranged by the places where it holds."""

    def __init__(self, world: World, subject: Subject) -> None:
        self.subject = subject
        self._by_namespace: dict[str, list[Held]] = defaultdict(list)
        for held in access(world).policy.held(subject):
            self._by_namespace[held.namespace].append(held)

    def missing(self, line: Line) -> Iterator[tuple[Target, str]]:
        """The cells of a line that are to be allowed and are not, in words."""
        everywhere = self._by_namespace.get("", [])
        for target in line.targets:
            base, _, subresource = target.resource.partition("/")
            for verb in line.verbs:
                request = Request(verb, target.group, base, subresource, target.name, "", target.path)
                if any(allows(held.rule, request) for held in everywhere):
                    continue
                for place in line.places:
                    if target.path or not any(allows(held.rule, request) for held in self._by_namespace.get(place, ()) if place):
                        yield target, told(verb, target, place)

    def touched(self, line: Line) -> Iterator[tuple[Target, str]]:
        """The cells of a line that are not to be allowed and are: whatever the name, and for ``*`` whatever the resource. One for each rule, in words."""
        for place in ("", *(place for place in line.places if place)) if line.places else ():
            for held in self._by_namespace.get(place, ()):
                verbs = line.verbs if "*" in held.rule.verbs else [verb for verb in line.verbs if verb in held.rule.verbs]
                for target in line.targets if verbs else ():
                    if self._meets(held, target):
                        yield target, f"{told(verbs[0], target, place)} by {held.binding} and {held.grant}"

    def _meets(self, held: Held, target: Target) -> bool:
        rule = held.rule
        if target.path:
            return any(url_matches(url, target.path) for url in rule.urls)
        if target.resource == "*":
            return bool(rule.resources) and not self._implied(held)
        if target.group not in rule.groups and "*" not in rule.groups:
            return False
        if target.name and rule.names and target.name not in rule.names:
            return False
        base, _, subresource = target.resource.partition("/")
        return any(resource_matches(pattern, base, subresource) for pattern in rule.resources)

    def _implied(self, held: Held) -> bool:
        return held.binding.object is None and held.binding.subjects[held.position] != self.subject

    def own(self) -> Iterator[Held]:
        """The rules that the subject has by itself, not as one of everybody."""
        for several in self._by_namespace.values():
            yield from (held for held in several if not self._implied(held))


def beyond(rights: Rights, lines: Iterable[Line]) -> dict[Atom, Held]:
    """What a subject has and no line says. Lines of every namespace together do not add up to everywhere: that is ``cluster``."""
    said = {
        Atom("", verb, target.group, target.resource, target.name, place or EVERYWHERE, target.path)
        for line in lines
        if line.allowed
        for target in line.targets
        for verb in line.verbs
        for place in line.places
    }
    wild = [atom for atom in said if "*" in (atom.verb, atom.group) or "*" in atom.resource + atom.path]
    found: dict[Atom, Held] = {}
    for held in rights.own():
        for atom in atoms_of_rule("", held.rule, held.namespace or EVERYWHERE):
            same = (atom._replace(name=name, namespace=namespace) for name in (atom.name, "") for namespace in (atom.namespace, EVERYWHERE))
            if not any(each in said for each in same) and not any(includes(each, atom) for each in wild):
                found.setdefault(atom, held)
    return found
