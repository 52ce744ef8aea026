"""Asking the API server who may do what: SubjectAccessReview for one request, SelfSubjectRulesReview (as the subject) for everything at once.

Sources: authorization.k8s.io/v1; "User impersonation" of the Kubernetes authentication documentation. A rules review names a namespace; one that does not
exist shows what holds everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.rbac.atoms import EVERYWHERE, Atom, allowed_by, atoms_of_rule
from harness.engines.rbac.rules import ALL, Request, Rule
from harness.engines.rbac.subjects import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, Subject
from harness.live.findings import LiveError
from harness.live.reach.api import Question
from harness.live.rules.access import RULES_EQUAL
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.engines.rbac.policy import Policy
    from harness.live.reach.api import Api, Reply

#: A namespace that no cluster has.
NOWHERE: Final = "plimsoll-nowhere"
#: A user who is nobody but a member of a group.
_SOMEBODY: Final = "plimsoll:somebody"
_PATH: Final = "/apis/authorization.k8s.io/v1/"
_VERSION: Final = "authorization.k8s.io/v1"
#: How a rules review names the fields of a rule.
_FIELDS: Final = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def access_review(subject: Subject, request: Request) -> Question:
    """Whether a subject may do something. The server adds no group by itself, so all of them are named."""
    if request.path:
        asked = {"nonResourceAttributes": {"path": request.path, "verb": request.verb}}
    else:
        asked = {
            "resourceAttributes": {
                "verb": request.verb,
                "group": request.group,
                "resource": request.resource,
                "subresource": request.subresource,
                "name": request.name,
                "namespace": request.namespace,
            }
        }
    who = {"user": subject.user or _SOMEBODY, "groups": list(subject.groups)}
    return Question("POST", f"{_PATH}subjectaccessreviews", {"apiVersion": _VERSION, "kind": "SubjectAccessReview", "spec": {**who, **asked}})


def rules_review(subject: Subject, namespace: str) -> Question:
    """Every rule that applies to a subject in a namespace, asked as the subject."""
    body = {"apiVersion": _VERSION, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace or NOWHERE}}
    return Question("POST", f"{_PATH}selfsubjectrulesreviews", body, impersonating(subject))


def impersonating(subject: Subject) -> tuple[tuple[str, str], ...]:
    """The headers that make a request the subject's. The server adds the groups of accounts, and that of everybody with an identity."""
    if subject.kind == "Group" and subject.name == UNAUTHENTICATED:
        return (("Impersonate-User", ANONYMOUS),)
    groups = [("Impersonate-Group", subject.name)] if subject.kind == "Group" and subject.name != AUTHENTICATED else []
    return (("Impersonate-User", subject.user or _SOMEBODY), *groups)


def allowed(reply: Reply) -> tuple[bool, str]:
    """The answer of a review, and its reason. Raises ValueError for a reply that is none."""
    status = mapping(reply.body.get("status"))
    if reply.status != 201 or not isinstance(status.get("allowed"), bool) or text(status.get("evaluationError")):
        raise ValueError(f"status {reply.status}: {text(reply.body.get('message')) or text(status.get('evaluationError')) or reply.body}")
    return status["allowed"] is True, text(status.get("reason"))


def rules_of(reply: Reply) -> frozenset[Rule]:
    """The rules of a rules review. Raises ValueError for a reply that is none, or that is not all."""
    status = mapping(reply.body.get("status"))
    if reply.status != 201 or status.get("incomplete") is not False:
        raise ValueError(f"status {reply.status}: {text(reply.body.get('message')) or text(status.get('evaluationError')) or reply.body}")
    listed = [mapping(each) for name in ("resourceRules", "nonResourceRules") for each in items(status.get(name))]
    return frozenset(Rule(*(tuple(sorted(str(word) for word in items(each.get(name)))) for name in _FIELDS)) for each in listed)


def atoms_in(rules: Iterable[Rule]) -> frozenset[Atom]:
    """Rules in their smallest pieces: order and grouping say nothing."""
    return frozenset(atom for rule in rules for atom in atoms_of_rule("", rule, EVERYWHERE))


@dataclass
class Effective:
    """What the API server says each subject has in each place (empty: everywhere). Equal sets of rules have equal numbers."""

    number: dict[tuple[Subject, str], int] = field(default_factory=dict)
    rules: list[frozenset[Rule]] = field(default_factory=list)
    atoms: list[frozenset[Atom]] = field(default_factory=list)
    _known: dict[frozenset[Atom], int] = field(default_factory=dict)

    def note(self, subject: Subject, place: str, rules: frozenset[Rule]) -> None:
        atoms = atoms_in(rules)
        if atoms not in self._known:
            self._known[atoms] = len(self.rules)
            self.rules.append(rules)
            self.atoms.append(atoms)
        self.number[subject, place] = self._known[atoms]


def effective(server: Api, wanted: Mapping[Subject, Sequence[str]], places: Sequence[str], policy: Policy) -> Effective:
    """Ask for what some subjects have in some places; in the other places each has what it has everywhere. Raises LiveError for an unusable answer.

    The server lists rules to whom it knows; those of others are what ``policy`` says.
    """
    found = Effective()
    for subject in wanted:
        for place in places if _unknown(subject) else ():
            found.note(subject, place, frozenset(held.rule for held in policy.rules_for(subject, place)))
    pairs = [(subject, place) for subject, several in wanted.items() if not _unknown(subject) for place in several]
    for (subject, place), reply in zip(pairs, server.all([rules_review(*pair) for pair in pairs]), strict=True):
        try:
            rules = rules_of(reply)
        except ValueError as error:
            raise LiveError(RULES_EQUAL.finding(str(subject), f"no whole list of rules in {place or 'any namespace'}: {error}", "all of them")) from error
        found.note(subject, place, rules)
    for subject in wanted:
        for place in places:
            found.number.setdefault((subject, place), found.number[subject, ""])
    return found


def where_bound(policies: Sequence[Policy], subject: Subject) -> set[str]:
    """The namespaces whose bindings name a subject or one of its groups."""
    return {binding.namespace for policy in policies for binding, _position in policy.bindings_of(subject)}


def _unknown(subject: Subject) -> bool:
    return UNAUTHENTICATED in subject.groups


def computed(policy: Policy, subject: Subject, place: str) -> frozenset[Atom]:
    """What the engine says a subject has in a place."""
    return atoms_in(held.rule for held in policy.rules_for(subject, place))


Ask = tuple[object, Request]


class Asking:
    """Reviews of one round. Two that must get the same answer, because the API server says the same of both subjects, are one.

    With ``scoped``, a request in a namespace and one over all of them are two nevertheless.
    """

    def __init__(self, known: Effective, *, scoped: bool = False) -> None:
        self._known, self._scoped = known, scoped
        self._asked: dict[Ask, tuple[Subject, Request]] = {}
        self._near: dict[tuple[int, str, str, str], frozenset[Atom]] = {}
        self._index: dict[int, dict[str, list[Atom]]] = {}
        #: How many questions there were before equal ones became one.
        self.wanted = 0

    def add(self, subject: Subject, request: Request, *, own: bool = False) -> Ask:
        """Ask this too; the result is under the key. With ``own``, only who has the very same rules throughout is asked about together."""
        place = request.namespace
        # A namespace that is not there has what holds everywhere.
        number = self._known.number.get((subject, place), self._known.number[subject, ""])
        key = number if own else self._rules_near(number, request), request._replace(namespace="*" if place and self._scoped else "")
        self._asked.setdefault(key, (subject, request))
        self.wanted += 1
        return key

    def _rules_near(self, number: int, request: Request) -> frozenset[Atom]:
        """What of some rules has to do with a verb on a resource, whatever the name, or with a path."""
        if number not in self._index:
            index = self._index[number] = defaultdict(list)
            for atom in self._known.atoms[number]:
                index[atom.verb].append(atom)
        named = request._replace(name="", path="")
        near = (number, request.verb, request.path or request.group, request.combined)
        if near not in self._near:
            atoms = (*self._index[number].get(request.verb, ()), *self._index[number].get(ALL, ()))
            self._near[near] = frozenset(
                atom for atom in atoms if (bool(atom.path) if request.path else allowed_by(atom._replace(name="", namespace=EVERYWHERE), named))
            )
        return self._near[near]

    def ask(self, server: Api) -> dict[Ask, tuple[bool, str]]:
        """The answers by key. Raises ValueError for one that cannot be used."""
        replies = server.all([access_review(*each) for each in self._asked.values()])
        return {key: allowed(reply) for key, reply in zip(self._asked, replies, strict=True)}


def spec_of(question: Question) -> Mapping[str, Any]:
    """What a review asks."""
    return mapping((question.body or {}).get("spec"))
