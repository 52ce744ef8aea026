"""The table of tests/intent/access.yaml, and every right of every account, as questions to the API server.

A cell that forbids speaks of every name and, with ``*``, of every resource: it is asked without a name and with each name that the API server's own rules for
the subject mention, and of ``*`` with each resource that these rules mention, and some that are drawn. What everybody has, because the API server binds it to
all who have an identity, is none of a ``*`` cell's business (as in RBC202).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.rbac.atoms import EVERYWHERE, Atom, atoms_of
from harness.engines.rbac.rules import ALL, Request, Rule, resource_matches
from harness.rules.rbc_cells import Row, Target, told

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from harness.engines.rbac.policy import Held, Policy
    from harness.engines.rbac.subjects import Subject
    from harness.live.access.reviews import Ask, Asking, Effective
    from harness.model import Pointer

#: Verbs, resources and names that no role mentions: what only a wildcard allows.
_ODD: Final = "plimsoll"
#: Resources that are drawn for ``*``, for each verb and place.
_DRAWN: Final = 12
#: How many of the rights that hold everywhere are asked for in some namespace too.
_ALSO: Final = 0.25
_VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate", "approve", "sign")


@dataclass(frozen=True, slots=True)
class Cell:
    """A question of the table: what the answer must be, and where that is written."""

    subject: Subject
    request: Request
    allowed: bool
    at: Pointer
    words: str
    key: Ask


class Table:
    """Turns rows into questions. ``resources`` are those that ``*`` is drawn from."""

    def __init__(self, known: Effective, asking: Asking, policy: Policy, resources: Sequence[tuple[str, str]], rng: random.Random) -> None:
        self._known, self._asking, self._policy = known, asking, policy
        self._resources, self._rng = resources, rng
        self._seen: set[tuple[object, ...]] = set()
        #: How many cells the rows have, equal ones included.
        self.cells = 0

    def of(self, row: Row) -> Iterator[Cell]:
        """The questions of a row for one subject; those that must get the same answer for the same reason once."""
        for line in row.lines:
            for target in line.targets:
                for place in ("",) if target.path else line.places:
                    number = self._known.number.get((row.subject, place))
                    self.cells += len(line.verbs)
                    # A place that is not there has no namespace to ask about; what holds everywhere is asked for all the same.
                    at = place if number is not None else ""
                    for verb in line.verbs:
                        key = (row.position, row.subject.kind, number, verb, target, not at, line.allowed)
                        if key in self._seen:
                            continue
                        self._seen.add(key)
                        for request in self._requests(row.subject, verb, target, at, allowed=line.allowed):
                            words = told(verb, target._replace(group=request.group, resource=request.combined, name=request.name), at)
                            yield Cell(row.subject, request, line.allowed, target.at, words, self._asking.add(row.subject, request, own=line.allowed))

    def _requests(self, subject: Subject, verb: str, target: Target, place: str, *, allowed: bool) -> Iterator[Request]:
        if target.path:
            yield Request(verb, path=target.path)
            return
        if target.resource == ALL and not allowed:
            rules = self._known.rules[self._known.number[subject, place]]
            told_of = {(group, resource) for rule in rules if _has(rule, verb) for group in rule.groups for resource in rule.resources}
            for group, resource in sorted(told_of | set(self._rng.sample(self._resources, _DRAWN))):
                yield from self._named(subject, request_of(verb, group, resource, "", place), implied=False)
            return
        request = request_of(verb, target.group, target.resource, target.name, place)
        if allowed or target.name:
            yield request
        else:
            yield from self._named(subject, request, implied=True)

    def _named(self, subject: Subject, request: Request, *, implied: bool) -> Iterator[Request]:
        """A request without a name, and with each that the subject's rules there have for it."""
        names = {name for rule in self._known.rules[self._known.number[subject, request.namespace]] for name in _names(rule, request)}
        for name in ("", *sorted(names)):
            asked = request._replace(name=name)
            if implied or not self._everybody(subject, asked):
                yield asked

    def _everybody(self, subject: Subject, request: Request) -> bool:
        """Whether a subject may do something only because everybody may."""
        held = self._policy.decide(subject, request).held
        return held is not None and held.binding.object is None and held.binding.subjects[held.position] != subject


def _has(rule: Rule, verb: str) -> bool:
    return ALL in rule.verbs or verb in rule.verbs


def _names(rule: Rule, request: Request) -> Iterable[str]:
    touched = _has(rule, request.verb) and (ALL in rule.groups or request.group in rule.groups)
    if touched and rule.names and any(resource_matches(each, request.resource, request.subresource) for each in rule.resources):
        return rule.names
    return ()


def request_of(verb: str, group: str, resource: str, name: str, namespace: str) -> Request:
    """A request for a resource as rules write it (``pods/log``)."""
    base, _, subresource = resource.partition("/")
    return Request(verb, group, base, subresource, name, namespace)


class Right(NamedTuple):
    """A question about one right of an account: what the engine says, and by which rule."""

    subject: Subject
    request: Request
    held: Held | None
    key: Ask


def rights_of(policy: Policy, subject: Subject, places: Sequence[str], asking: Asking, rng: random.Random) -> Iterator[Right]:
    """Every atom of an account as a question, wildcards as they stand: only a rule with the same wildcard allows them.

    What holds everywhere is asked outside of namespaces, and now and then in one that is drawn.
    """
    own = atoms_of(policy, subject, implied=False)
    for atom in atoms_of(policy, subject):
        if atom.namespace != EVERYWHERE:
            asked = [_of_atom(atom, atom.namespace)]
        elif atom.path:
            asked = [Request(atom.verb, path=atom.path.replace("*", _ODD))]
        else:
            asked = [_of_atom(atom, ""), *([_of_atom(atom, rng.choice(places))] if rng.random() < _ALSO else [])]
        for request in asked:
            yield Right(subject, request, policy.decide(subject, request).held, asking.add(subject, request, own=atom in own))


def _of_atom(atom: Atom, namespace: str) -> Request:
    return request_of(atom.verb, atom.group, atom.resource, atom.name, namespace)


def neighbours(
    policy: Policy,
    subject: Subject,
    places: Sequence[str],
    resources: Sequence[tuple[str, str]],
    asking: Asking,
    rng: random.Random,
    count: int,
) -> Iterator[Right]:
    """Questions next to what an account may do, and some drawn from all there are; most of them must be refused."""
    own = sorted(atoms_of(policy, subject, implied=False))
    for _ in range(count):
        if own and rng.random() < 0.7:
            request = _beside(rng.choice(own), places, resources, rng)
        else:
            group, resource = rng.choice(resources)
            request = request_of(rng.choice(_VERBS), group, resource, rng.choice(("", _ODD)), rng.choice(("", *places)))
        yield Right(subject, request, policy.decide(subject, request).held, asking.add(subject, request))


def _beside(atom: Atom, places: Sequence[str], resources: Collection[tuple[str, str]], rng: random.Random) -> Request:
    """A right with one part of it changed."""
    if atom.path:
        return Request(atom.verb if rng.random() < 0.5 else "post", path=rng.choice((f"{atom.path.rstrip('*')}/{_ODD}", "/metrics", "/logs/x", "/debug/pprof")))
    place = "" if atom.namespace == EVERYWHERE else atom.namespace
    request = _of_atom(atom, place)
    kind = rng.choice(("verb", "name", "namespace", "resource", "subresource", "group"))
    if kind == "verb":
        return request._replace(verb=rng.choice(_VERBS))
    if kind == "name":
        return request._replace(name=_ODD if not atom.name or rng.random() < 0.5 else "")
    if kind == "namespace":
        return request._replace(namespace=rng.choice(("", _ODD, *places)))
    if kind == "subresource":
        return request._replace(subresource=rng.choice(("", "status", "scale", "finalizers", "exec", "token", "proxy")))
    group, resource = rng.choice(list(resources))
    if kind == "group":
        return request._replace(group=group)
    return request_of(atom.verb, atom.group, resource, atom.name, place)
