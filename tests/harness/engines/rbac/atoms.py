"""Rights in their smallest pieces: one subject, verb, resource, name and namespace each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.rbac.rules import ALL, Request, Rule, resource_matches, url_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.rbac.policy import Held, Policy
    from harness.engines.rbac.subjects import Subject

#: The namespace of a right that holds in every namespace and for objects outside of namespaces.
EVERYWHERE: Final = "*"


class Atom(NamedTuple):
    """One right as the rules state it, wildcards and all. ``name`` is empty for every name; ``path`` is set for a URL, and nothing else then."""

    subject: str
    verb: str
    group: str
    resource: str
    name: str
    namespace: str
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.subject} {self.verb} {self.path}"
        group = f".{self.group}" if self.group else ""
        base, slash, sub = self.resource.partition("/")
        named = f" {self.name}" if self.name else ""
        return f"{self.subject} {self.verb} {base}{group}{slash}{sub}{named} in {'every namespace' if self.namespace == EVERYWHERE else self.namespace}"


def atoms_of_rule(subject: str, rule: Rule, namespace: str) -> Iterator[Atom]:
    """The atoms of one rule where it holds: a namespace, or :data:`EVERYWHERE`. URLs count only everywhere, as a RoleBinding grants none."""
    for group in rule.groups:
        for resource in rule.resources:
            for verb in rule.verbs:
                for name in rule.names or ("",):
                    yield Atom(subject, verb, group, resource, name, namespace)
    if namespace == EVERYWHERE:
        for url in rule.urls:
            for verb in rule.verbs:
                yield Atom(subject, verb, "", "", "", EVERYWHERE, url)


def atoms_of(policy: Policy, subject: Subject, groups: Iterable[str] = (), *, implied: bool = True) -> dict[Atom, Held]:
    """Everything a subject may do, each atom with the first rule that grants it.

    Without ``implied``, what it has only as one of everybody (the API server's own groups) is left out.
    """
    found: dict[Atom, Held] = {}
    text = str(subject)
    for held in policy.held(subject, groups):
        if not implied and _is_implied(held, subject):
            continue
        for atom in atoms_of_rule(text, held.rule, held.namespace or EVERYWHERE):
            found.setdefault(atom, held)
    return found


def _is_implied(held: Held, subject: Subject) -> bool:
    entry = held.binding.subjects[held.position]
    return entry is not None and entry != subject and entry.kind == "Group" and entry.name in subject.groups


def all_atoms(policy: Policy, subjects: Iterable[Subject] | None = None) -> dict[Atom, Held]:
    """The atoms of many subjects: of everyone that some binding names, when none are given. What follows from a group stands there only."""
    found: dict[Atom, Held] = {}
    for subject in policy.subjects() if subjects is None else subjects:
        found.update(atoms_of(policy, subject, implied=False))
    return found


def includes(wide: Atom, narrow: Atom) -> bool:
    """Whether whoever has ``wide`` needs no ``narrow``; subjects are not compared."""
    if wide.verb not in (ALL, narrow.verb) or wide.namespace not in (EVERYWHERE, narrow.namespace):
        return False
    if wide.path or narrow.path:
        return bool(wide.path and narrow.path) and url_matches(wide.path, narrow.path)
    if wide.name not in ("", narrow.name) or wide.group not in (ALL, narrow.group):
        return False
    base, _, subresource = narrow.resource.partition("/")
    return resource_matches(wide.resource, base, subresource)


def allowed_by(atom: Atom, request: Request) -> bool:
    """Whether an atom allows a request."""
    if atom.verb not in (ALL, request.verb):
        return False
    if request.path or atom.path:
        return bool(request.path and atom.path) and url_matches(atom.path, request.path)
    return (
        atom.namespace in (EVERYWHERE, request.namespace)
        and atom.group in (ALL, request.group)
        and resource_matches(atom.resource, request.resource, request.subresource)
        and atom.name in ("", request.name)
    )


class Difference(NamedTuple):
    """What changed between two policies, for subjects of both."""

    gained: dict[Atom, Held]
    lost: dict[Atom, Held]


def difference(before: Policy, after: Policy) -> Difference:
    """The atoms that someone has after and not before, nor under a wider one; and the other way round."""
    old, new = all_atoms(before), all_atoms(after)
    return Difference(_beyond(new, old), _beyond(old, new))


def _beyond(these: dict[Atom, Held], those: dict[Atom, Held]) -> dict[Atom, Held]:
    by_subject: dict[str, list[Atom]] = defaultdict(list)
    for atom in those:
        by_subject[atom.subject].append(atom)
    # Only an atom with a wildcard or without a name can include one that is not equal to it.
    wide = {
        subject: [atom for atom in atoms if ALL in (atom.verb, atom.group, atom.namespace) or "*" in atom.resource + atom.path or not atom.name]
        for subject, atoms in by_subject.items()
    }
    return {atom: held for atom, held in sorted(these.items()) if atom not in those and not any(includes(other, atom) for other in wide.get(atom.subject, ()))}
