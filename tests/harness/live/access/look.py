"""Rights in a running cluster: one look at its roles, accounts and what the API server makes of them, shared by the proofs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.rbac.rules import Request
from harness.engines.rbac.subjects import MASTERS, Subject
from harness.live.access.cells import Table, neighbours, rights_of
from harness.live.access.reviews import Asking, Effective, access_review, allowed, computed, effective, impersonating, where_bound
from harness.live.access.rights import KINDS, Comparison, compare, read
from harness.live.faults import LABEL
from harness.live.findings import CLUSTER, NotEvaluatedError
from harness.live.reach.api import Api, Question
from harness.live.rules.access import ATOM, CELL, ENFORCED, RULES_EQUAL
from harness.live.sync.readiness import KINDS as FLUX
from harness.live.sync.readiness import Key, State, Tree
from harness.rules.rbc_cells import known_subjects, rows
from harness.rules.rbc_common import access, usable

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping

    from harness.engines.rbac.atoms import Atom
    from harness.live.access.cells import Cell
    from harness.live.bringup import Platform
    from harness.model import Finding, Object, Pointer

_FLUX_HOME: Final = "flux-system"
#: Differences shown in one finding.
_SHOWN: Final = 4
_NOBODY: Final = "plimsoll-none"


@dataclass(frozen=True)
class Look:
    """What was seen of a cluster's rights at one moment. ``known`` is what the API server says each subject has in each place."""

    platform: Platform
    server: Api
    comparison: Comparison
    known: Effective
    subjects: tuple[Subject, ...]
    places: tuple[str, ...]

    @property
    def resources(self) -> Mapping[tuple[str, str], bool]:
        """Every resource of the API server and of the build's CRDs, subresources too, with whether it is namespaced."""
        return access(self.platform.world).resources.namespaced

    def partial(self, subject: Subject) -> str:
        """Why a subject has not got everything yet; empty when it has."""
        return self.comparison.partial.get(str(subject), "")


def look(platform: Platform, rng: random.Random, *, temporary: bool = False) -> Look:
    """Look now: each subject everywhere, where something binds it, and in one more namespace that is drawn.

    Raises NotEvaluatedError where the API server cannot be asked from here.
    """
    world, kubectl = platform.world, platform.cluster.kubectl
    if usable(world) is None:
        raise NotEvaluatedError(world.cluster.name, "rights", "there is no table of access (tests/intent/access.yaml) to hold them against")
    server = platform.cluster.api
    comparison = compared(platform, temporary=temporary)
    named = {subject for binding in comparison.policy.bindings for subject in binding.subjects if subject is not None}
    subjects = sorted(each for each in {*comparison.accounts, *known_subjects(world).values(), *named} if each.name != MASTERS and not _node(each))
    there = (item["metadata"] for item in kubectl.list("namespaces"))
    places = ("", *sorted(metadata["name"] for metadata in there if LABEL not in metadata.get("labels", {})))
    wanted = {}
    for subject in subjects:
        bound = where_bound((comparison.live, access(world).policy), subject)
        others = [place for place in places if place and place not in bound]
        wanted[subject] = sorted({"", *(bound & set(places)), *rng.sample(others, min(1, len(others)))})
    return Look(platform, server, comparison, effective(server, wanted, places, comparison.policy), tuple(subjects), places)


def shared(platform: Platform) -> Look:
    """The first look of a run. Use it with ``platform.once``."""
    return look(platform, platform.random())


def compared(platform: Platform, *, temporary: bool = False) -> Comparison:
    """The cluster's roles, bindings and accounts held against the build's."""
    world, kubectl = platform.world, platform.cluster.kubectl
    tree = Tree(kubectl.list(*FLUX), platform.expected)
    home = kubectl.get("namespaces", _FLUX_HOME)
    if home is None:
        raise NotEvaluatedError(world.cluster.name, "rights", f"there is no namespace {_FLUX_HOME}: nothing says what was there before Flux")
    there = read(world.cluster.name, kubectl.list(*KINDS))
    since = str(home["metadata"]["creationTimestamp"])
    return compare(access(world).policy, world.of("ServiceAccount"), there, since=since, waits=lambda item: waits(tree, item), temporary=temporary)


def waits(tree: Tree, item: Object) -> str:
    """Why an object of the build cannot be in the cluster yet; empty when what applies it says that it is."""
    applier = item.applier
    if applier is None:
        return ""
    key = Key(applier.kind, applier.namespace, applier.name)
    status = tree.statuses.get(key)
    if status is None:
        return f"{key} is not there"
    return "" if status.state in (State.READY, State.SUSPENDED) else f"{key} is {status.state}"


def unequal(seen: Look) -> Iterator[Finding]:
    """Where the engine and the API server differ about everything a subject has, one finding a subject."""
    model = access(seen.platform.world).policy
    for subject in seen.subjects:
        differing: list[str] = []
        for place in seen.places:
            number = seen.known.number.get((subject, place))
            if number is None:
                continue
            ours, theirs = computed(seen.comparison.policy, subject, place), seen.known.atoms[number]
            if ours != theirs:
                differing.append(f"in {place or 'every namespace'} the API server has also {_atoms(theirs - ours)} and lacks {_atoms(ours - theirs)}")
        if differing and not seen.partial(subject):
            bindings = ", ".join(str(binding) for binding, _position in model.bindings_of(subject))
            more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
            yield RULES_EQUAL.finding(_of(seen, subject), f"{'; '.join(differing[:_SHOWN])}{more}", f"what the engine computes from {bindings or 'no binding'}")


def wrong_cells(seen: Look, rng: random.Random) -> tuple[list[Finding], list[str]]:
    """The cells of the table that the API server answers otherwise, one finding for each place of the table; and what was asked, in words."""
    world = seen.platform.world
    listed = usable(world)
    if listed is None:
        raise NotEvaluatedError(world.cluster.name, "the table of access", "there is none, or it has faults")
    asking = Asking(seen.known)
    table = Table(seen.known, asking, seen.comparison.policy, sorted(seen.resources), rng)
    # An account of something that was left out of the run has no rights to compare: the ledger has the Kustomization.
    cells = [cell for row in rows(world) if (row.subject, "") in seen.known.number for cell in table.of(row)]
    answers = asking.ask(seen.server)
    wrong: dict[tuple[Pointer, str], list[tuple[Cell, str]]] = {}
    open_: dict[tuple[str, str], str] = {}
    for cell in cells:
        yes, reason = answers[cell.key]
        if yes == cell.allowed:
            continue
        if cell.allowed and seen.partial(cell.subject):
            open_[str(cell.subject), "cells of the table of access that allow"] = seen.partial(cell.subject)
            continue
        ground = "" if cell.allowed else _ground(seen, cell.subject, cell.request)
        if ground:
            open_[f"{cell.subject} {cell.words}", "a cell of the table of access that forbids"] = ground
            continue
        wrong.setdefault((cell.at, str(cell.subject)), []).append((cell, reason))
    for (words, what), why in sorted(open_.items()):
        seen.platform.left_open(words, what, why)
    found = []
    for (at, _), several in wrong.items():
        cell, reason = several[0]
        more = f", and {len(several) - 1} more like it" if len(several) > 1 else ""
        says = f"{cell.subject} {'may not' if cell.allowed else 'may'} {cell.words}{more}: {reason or 'no rule allows it'}"
        found.append(CELL.finding(_of(seen, cell.subject), says, f"{'allowed' if cell.allowed else 'refused'}, as the table says", location=listed.locate(*at)))
    return found, [f"{table.cells} cells of the table by {len(answers)} reviews"]


def wrong_rights(seen: Look, rng: random.Random, *, beside: int = 40) -> tuple[list[Finding], list[str]]:
    """Rights of accounts, and requests next to them, where engine and API server differ."""
    accounts = [subject for subject in seen.subjects if subject.kind == "ServiceAccount"]
    policy, asking = seen.comparison.policy, Asking(seen.known, scoped=True)
    named = [place for place in seen.places if place]
    resources = sorted(seen.resources)
    every = [right for subject in accounts for right in rights_of(policy, subject, named, asking, rng)]
    near = [right for subject in accounts for right in neighbours(policy, subject, named, resources, asking, rng, beside)]
    answers = asking.ask(seen.server)
    found, refused = [], 0
    for right in (*every, *near):
        yes, reason = answers[right.key]
        refused += not yes
        if yes == (right.held is not None) or (right.held is not None and seen.partial(right.subject)):
            continue
        asked = f"{right.request.verb} {right.request.path or right.request.combined} {tuple(right.request[1:6])}"
        engine = f"{right.held.binding} grants {right.held.grant}" if right.held is not None else "no rule of any binding allows it"
        where = right.held.binding.locate() if right.held is not None else None
        says = f"{asked} is {'allowed' if yes else 'refused'}: {reason or 'no reason given'}"
        found.append(ATOM.finding(_of(seen, right.subject), says, f"the engine: {engine}", location=where))
    said = f"{len(every)} rights of {len(accounts)} service accounts and {len(near)} requests beside them by {len(answers)} reviews, {refused} refused"
    return found, [said]


class Path(NamedTuple):
    """Where the API server has a resource."""

    prefix: str
    namespaced: bool
    verbs: frozenset[str]


def paths(listed: str) -> dict[tuple[str, str], Path]:
    """What ``kubectl api-resources --output=wide --no-headers`` prints, by (group, resource)."""
    found: dict[tuple[str, str], Path] = {}
    for line in listed.splitlines():
        words = line.split()
        at = next((index for index, word in enumerate(words) if word in ("true", "false")), 0)
        if at < 2 or len(words) < at + 3:
            continue
        group, _, version = words[at - 1].rpartition("/")
        found[group, words[0]] = Path(f"/apis/{group}/{version}" if group else f"/api/{version}", words[at] == "true", frozenset(words[at + 2].split(",")))
    return found


def request_to(where: Path, resource: str, verb: str, place: str) -> Question | None:
    """A request that changes nothing: a list, an object that is not there, or its deletion as a dry run. None for what cannot be asked so."""
    if verb not in where.verbs or verb not in ("get", "list", "delete") or (place and not where.namespaced):
        return None
    base = f"{where.prefix}/namespaces/{place}/{resource}" if place else f"{where.prefix}/{resource}"
    if verb == "list":
        return Question("GET", f"{base}?limit=1")
    if where.namespaced and not place:
        return None
    return Question("GET", f"{base}/{_NOBODY}") if verb == "get" else Question("DELETE", f"{base}/{_NOBODY}?dryRun=All")


def unlike(seen: Look, rng: random.Random, count: int = 300) -> tuple[list[Finding], list[str]]:
    """Requests, made as others, that were not treated as their review says. A sample of all subjects, verbs and places."""
    known = paths(seen.platform.cluster.kubectl("api-resources", "--output=wide", "--no-headers"))
    picked: list[tuple[Subject, Request, Question]] = []
    for _ in range(count * 20):
        subject, place, verb = rng.choice(seen.subjects), rng.choice(seen.places), rng.choice(("get", "list", "list", "delete"))
        number = seen.known.number.get((subject, place))
        # Half of them from what it has: among all there is, nearly everything is refused.
        mine = [atom for atom in seen.known.atoms[number] if atom.verb == verb and (atom.group, atom.resource) in known] if number is not None else []
        drawn = [(atom.group, atom.resource) for atom in sorted(mine)] if len(picked) % 2 and mine else sorted(known)
        group, resource = rng.choice(drawn)
        asked = request_to(known[group, resource], resource, verb, place)
        if asked is not None:
            name = "" if verb == "list" else _NOBODY
            picked.append((subject, Request(verb, group, resource, "", name, place), asked._replace(headers=impersonating(subject))))
        if len(picked) == count:
            break
    answers = [allowed(reply) for reply in seen.server.all([access_review(subject, request) for subject, request, _ in picked])]
    replies = seen.server.all([question for _, _, question in picked])
    found = []
    for (subject, request, question), (yes, _reason), reply in zip(picked, answers, replies, strict=True):
        if yes == (reply.status == 403):
            says = f"{question.method} {question.path} has status {reply.status}: {reply.body.get('message', '')}"
            found.append(ENFORCED.finding(_of(seen, subject), says, f"its review: {request.verb} {request.combined} is {'allowed' if yes else 'refused'}"))
    return found, [f"{len(picked)} requests as {len({subject for subject, _, _ in picked})} subjects, {sum(yes for yes, _ in answers)} of them let through"]


def one(server: Api, subject: Subject, request: Request) -> tuple[bool, str]:
    """The answer of one review."""
    return allowed(server.all([access_review(subject, request)])[0])


def _ground(seen: Look, subject: Subject, request: Request) -> str:
    """Why something is allowed that nobody wrote into Git: a binding that was there before Flux, or that a proof made. Empty: no reason is known."""
    held = seen.comparison.policy.decide(subject, request).held
    if held is None or held.binding.object is None or held.binding.locate() != CLUSTER:
        return ""
    if LABEL in held.binding.object.labels:
        return f"{held.binding} is another proof's, for a moment, and allows it"
    return f"{held.binding} was there before Flux, and allows it: it is the cluster's own ground, which no file of the repository describes"


def _node(subject: Subject) -> bool:
    """What the Node authorizer decides about is no business of RBAC's."""
    return subject.name.startswith("system:node:") or subject.name in ("system:nodes", "system:bootstrappers")


def _of(seen: Look, subject: Subject) -> Object | str:
    item = seen.platform.world.find("ServiceAccount", subject.namespace, subject.name) if subject.kind == "ServiceAccount" else None
    return item if item is not None else str(subject)


def _atoms(atoms: Iterable[Atom]) -> str:
    listed = sorted(atoms)
    shown = "; ".join(str(atom._replace(namespace="")).strip().removesuffix(" in") for atom in listed[:_SHOWN])
    return (shown or "nothing") + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
