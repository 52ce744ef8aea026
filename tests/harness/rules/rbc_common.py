"""What the rules about access share: the dangerous rights of a cluster, and what people say of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.rbac.dangers import DRAIN, Right, rights_of
from harness.engines.rbac.roles import GROUP
from harness.engines.rbac.subjects import parse_subject
from harness.flux.access import Access, access_of
from harness.model.shapes import items, mapping, text
from harness.source.intent import Intent, read_intent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.engines.rbac.policy import Policy
    from harness.engines.rbac.roles import Binding, Grant, Role
    from harness.engines.rbac.subjects import Subject
    from harness.flux.world import World
    from harness.model import Object

FILE: Final = "access.yaml"
ROLES: Final = (f"ClusterRole.{GROUP}", f"Role.{GROUP}")
BINDINGS: Final = (f"ClusterRoleBinding.{GROUP}", f"RoleBinding.{GROUP}")
PRACTICES: Final = "Kubernetes: Role Based Access Control Good Practices"
EVERYWHERE: Final = "*"

_WORDS: Final = {"type": "string", "minLength": 1}
_LIST: Final = {"type": "array", "minItems": 1, "uniqueItems": True, "items": _WORDS}
_CELLS: Final = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object", "minProperties": 1, "additionalProperties": _LIST}}
_REASON: Final = {"type": "string", "minLength": 10}


def _entry(**properties: Any) -> dict[str, Any]:
    common = {"subjects": _LIST, "clusters": _LIST}
    required = sorted({"subjects", *(name for name in properties if name in ("reason", "rights", "row"))})
    return {"type": "object", "additionalProperties": False, "required": required, "properties": {**common, **properties}}


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["namespaces", "access", "dangerous", "administrators"],
    "properties": {
        "namespaces": {"type": "object", "minProperties": 1, "additionalProperties": _LIST},
        "resources": {"type": "object", "additionalProperties": _LIST},
        "access": {
            "type": "array",
            "minItems": 1,
            "items": _entry(row={"type": "string", "minLength": 3}, only={"type": "boolean"}, can=_CELLS, cannot=_CELLS),
        },
        "dangerous": {"type": "array", "items": _entry(rights=_LIST, namespaces=_LIST, reason=_REASON)},
        "administrators": {"type": "array", "items": _entry(reason=_REASON)},
    },
}


def access(world: World) -> Access:
    return world.derive(access_of)


def intent(world: World) -> Intent | None:
    """The repository's ``tests/intent/access.yaml``; None when it has none."""
    return world.derive(_intent)


def _intent(world: World) -> Intent | None:
    return read_intent(world.repository, FILE, SCHEMA)


def usable(world: World) -> Intent | None:
    """The intent when it is there and without faults."""
    found = intent(world)
    return found if found is not None and not found.faults else None


def entries_for(found: Intent, section: str, cluster: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The entries of a section that speak of a cluster, with their position."""
    for index, entry in enumerate(found.body[section]):
        if cluster in entry.get("clusters", (cluster,)):
            yield index, entry


def subject_or_none(words: str) -> Subject | None:
    try:
        return parse_subject(words)
    except ValueError:
        return None


class Holding(NamedTuple):
    """Somebody's dangerous right. ``binding`` is None for a role that nobody is bound to; then ``who`` is ``nobody yet``."""

    who: str
    right: Right
    namespace: str
    grant: Grant
    binding: Binding | None

    @property
    def place(self) -> Object | None:
        """What to edit: the role that has the rule, or the binding when the role is the API server's own."""
        return self.grant.role.object or (self.binding.object if self.binding is not None else None)


def holdings(world: World) -> tuple[Holding, ...]:
    """Every dangerous right that objects of a cluster give, of the topics that rules list; the API server's own bindings are not judged."""
    return world.derive(_holdings)


def _holdings(world: World) -> tuple[Holding, ...]:
    found = access(world)
    policy, around = found.policy, found.around
    held: list[Holding] = []
    for binding in policy.bindings:
        role = policy.role_of(binding)
        if binding.object is None or role is None:
            continue
        for subject in dict.fromkeys(subject for subject in binding.subjects if subject is not None):
            held += _of_role(policy, role, str(subject), binding.namespace or EVERYWHERE, binding)
    for role in sorted(policy.roles.values(), key=lambda each: (each.namespace, each.name)):
        if role.object is not None and role.selectors is None and not is_used(policy, role) and not from_chart(role.object):
            held += _of_role(policy, role, "nobody yet", role.namespace or EVERYWHERE, None)
    by_holder: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in held:
        by_holder[each.who, each.namespace].add(each.right.danger.id)
    return tuple(dict.fromkeys(_kept(held, by_holder, around.levels)))


def _of_role(policy: Policy, role: Role, who: str, namespace: str, binding: Binding | None) -> Iterator[Holding]:
    grants = policy.grants(role)
    whole = any(right.danger.id == "everything" for grant in grants for right in rights_of(grant.rule))
    for grant in grants:
        for right in rights_of(grant.rule):
            if not (right.danger.outside and namespace != EVERYWHERE) and not (whole and right.danger.id == "wildcard:urls"):
                yield Holding(who, right, namespace, grant, binding)


def _kept(held: Iterable[Holding], by_holder: Mapping[tuple[str, str], set[str]], levels: Mapping[str, str]) -> Iterator[Holding]:
    """What is dangerous where it is held: some rights are so with others only, or in some namespaces only."""
    for each in held:
        danger, together = each.right.danger.id, by_holder[each.who, each.namespace]
        if danger == "csr:create" and "csr:approve" not in together:
            continue
        if danger == "pods:create" and each.namespace != EVERYWHERE and levels.get(each.namespace, "restricted") in ("baseline", "restricted"):
            continue
        if danger == "nodes:write" and together & {"pods:evict"}:
            yield each._replace(right=each.right._replace(danger=DRAIN))
        if each.right.danger.topic != "lends":
            yield each


def is_used(policy: Policy, role: Role) -> bool:
    """Whether a role is bound, or aggregated into one that is: or stands ready for one, as the labels of default roles do."""
    if policy.bound(role):
        return True
    if role.namespace:
        return False
    return any(name.startswith(f"{GROUP}/aggregate-to-") for name in role.labels) or any(
        role.name in (policy.aggregated(name) or ()) for _, name in policy.roles if not _
    )


def from_chart(item: Object) -> bool:
    """Whether a chart made an object: it offers roles that nobody need take."""
    return item.applier is not None and item.applier.kind == "HelmRelease"


def reasoned(world: World) -> dict[tuple[str, str], set[str]]:
    """(subject, right) → the namespaces in which the intent gives a reason for it; ``*`` is all of them."""
    return world.derive(_reasoned)


def _reasoned(world: World) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    listed = usable(world)
    for _, entry in entries_for(listed, "dangerous", world.cluster.name) if listed is not None else ():
        for who in entry["subjects"]:
            for right in entry["rights"]:
                found[who, right] |= places_of(entry, who)
    return found


def places_of(entry: Mapping[str, Any], who: str) -> set[str]:
    """The namespaces of an entry of the reasoned list: a service account's own, unless it says others. ``own`` may stand among them."""
    subject = subject_or_none(who)
    own = subject.namespace if subject is not None else ""
    return {own if name == "own" else name for name in entry.get("namespaces", ("own",) if own else (EVERYWHERE,))}


def unreasoned(world: World) -> dict[int, list[Holding]]:
    """The dangerous rights that no reason is given for, by the object to edit."""
    return world.derive(_unreasoned)


def _unreasoned(world: World) -> dict[int, list[Holding]]:
    found: dict[int, list[Holding]] = defaultdict(list)
    reasons = reasoned(world)
    for each in holdings(world):
        places = reasons.get((each.who, each.right.danger.id), set())
        if each.place is not None and not places & {EVERYWHERE, each.namespace}:
            found[id(each.place)].append(each)
    return found


def subjects_of(binding: Object) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, entry in enumerate(items(binding.body.get("subjects"))):
        if isinstance(entry, dict):
            yield index, entry


def role_name(binding: Object) -> str:
    reference = mapping(binding.body.get("roleRef"))
    return f"{text(reference.get('kind'))} {text(reference.get('name'))}"
