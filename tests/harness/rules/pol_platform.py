"""Rules about what a cluster's own policies say of it (POL2xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.engines.policy import PolicyId, Request, Status
from harness.model import Location, NotEvaluated, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, WholeRepository
from harness.rules.pol_table import README, actions_of, rows
from harness.rules.pol_world import BINDING, KYVERNO, POLICY_KINDS, Said, has_policies, labelled, reviewed
from harness.source.intent import read_intent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.context import Context

POL: Final = Registry()

#: Namespaces that the API server itself never deletes (its admission plugin NamespaceLifecycle).
_IMMORTAL: Final = ("default", "kube-public", "kube-system")
#: Who may do everything (``userInfo``).
_ADMINISTRATOR: Final = {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
_EXEMPT: Final = "change what the message says, or exempt the object with a PolicyException that has an owner and an end"


@POL.rule(
    "POL201",
    title="every object passes the policies that would deny it",
    why="what a policy denies is not applied: Flux keeps the Kustomization failed, and the object that is there stays as it was, or is missing",
    fix=_EXEMPT,
    scope=Objects(),
    controls=("NIST-CM-3", "NIST-CM-6", "NIST-SI-2"),
)
def nothing_is_denied(item: Object, world: World) -> Iterator[Violation]:
    for said in _said(item, world):
        if said.result.denied:
            yield _violation(said, "denies")


@POL.rule(
    "POL202",
    title="every object passes the policies that only audit",
    why="a policy in Audit is the next one to deny: what fails it fails then, in every cluster at once",
    fix=_EXEMPT,
    scope=Objects(),
    severity=Severity.WARNING,
    controls=("NIST-CM-6", "NIST-CA-7"),
)
def nothing_is_reported(item: Object, world: World) -> Iterator[Violation]:
    for said in _said(item, world):
        if not said.result.denied:
            yield _violation(said, "reports")


def _said(item: Object, world: World) -> tuple[Said, ...]:
    return world.derive(reviewed).by_object.get(str(item.id), ()) if has_policies(world) else ()


def _violation(said: Said, verb: str) -> Violation:
    result = said.result
    what = said.when or ("the pods it makes" if said.pod else "it")
    if result.status is Status.ERROR:
        found = f"{result.policy} cannot be evaluated for {what}: {result.message or result.reason}"
        return Violation(found, "an expression that holds for every object it is about", said.item.locate(), fix="guard the expression: a.?b.orValue(c)")
    return Violation(f"{result.policy} {verb} {what}: {result.message}", "what the policy asks for", said.item.locate())


@POL.rule(
    "POL203",
    title="every policy is about something that some cluster gets",
    why="a policy whose constraints match nothing protects nothing, and looks as if it did: a misspelt resource, a label that no namespace has",
    fix="correct spec.matchConstraints, or delete the policy",
    scope=WholeRepository(),
    severity=Severity.WARNING,
    controls=("NIST-CA-7", "NIST-CM-6"),
    every_cluster=True,
)
def policies_match(context: Context) -> Iterator[Violation]:
    found: dict[str, tuple[Location, bool]] = {}
    for summary in context.clusters.values():
        for name, (location, covers) in summary.policies.items():
            found[name] = (location, covers or (name in found and found[name][1]))
    for name, (location, covers) in sorted(found.items()):
        if not covers:
            yield Violation(f"{name} matches nothing in any cluster", "match constraints that cover an object", location)


@POL.rule(
    "POL204",
    title="Kyverno may read what its policies look at in background scans",
    why="without get, list and watch the reports controller skips the kind: the policy never becomes ready, and its reports say that all is well",
    fix="add the resource to a ClusterRole with the label rbac.kyverno.io/aggregate-to-reports-controller: 'true', or switch evaluation.background off",
    scope=Objects(tuple(kind for kind in POLICY_KINDS if kind.endswith(f"ValidatingPolicy.{KYVERNO}"))),
    severity=Severity.WARNING,
    controls=("NIST-AC-6", "NIST-CA-7"),
)
def background_may_read(policy: Object, world: World) -> Iterator[Violation]:
    evaluation = mapping(policy.spec.get("evaluation"))
    readable = world.derive(_readable)
    if readable is None or mapping(evaluation.get("background")).get("enabled") is False:
        return
    for index, rule in enumerate(map(mapping, items(mapping(policy.spec.get("matchConstraints")).get("resourceRules")))):
        for group in map(text, items(rule.get("apiGroups"))):
            for position, resource in enumerate(map(text, items(rule.get("resources")))):
                if not {(group, resource), (group, "*"), ("*", "*")} & readable:
                    where = policy.locate("spec", "matchConstraints", "resourceRules", index, "resources", position)
                    name = f"{resource}.{group}" if group else resource
                    yield Violation(f"the reports controller may not read {name}", f"get, list and watch of {name}", where)


def _readable(world: World) -> frozenset[tuple[str, str]] | None:
    """What the reports controller may get, list and watch, by aggregation; None when no such role is there."""
    roles = [role for role in world.of("ClusterRole.rbac.authorization.k8s.io") if _aggregated(role)]
    if not roles:
        return None
    return frozenset(
        (group, resource)
        for role in roles
        for rule in map(mapping, items(role.body.get("rules")))
        if {"get", "list", "watch"} <= set(map(text, items(rule.get("verbs")))) or "*" in items(rule.get("verbs"))
        for group in map(text, items(rule.get("apiGroups")))
        for resource in map(text, items(rule.get("resources")))
    )


def _aggregated(role: Object) -> bool:
    labels = role.labels
    return labels.get("rbac.kyverno.io/aggregate-to-reports-controller") == "true" or (
        labels.get("app.kubernetes.io/component") == "reports-controller" and labels.get("app.kubernetes.io/part-of") == "kyverno"
    )


#: What people say about policies that do not deny.
INTENT: Final = "policies.yaml"
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["audit"],
    "properties": {
        "audit": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["policy", "clusters", "reason"],
                "properties": {
                    "policy": {"type": "string", "minLength": 1},
                    "clusters": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                    "reason": {"type": "string", "minLength": 10},
                },
            },
        }
    },
}


@POL.rule(
    "POL205",
    title="every policy denies in every cluster, or people say why it does not",
    why="a patch that is lost, or an action set back to Audit for an afternoon, switches a control off without anything failing",
    fix="promote the policy in clusters/<cluster>/patches, or list it under audit in tests/intent/policies.yaml with the reason",
    scope=Clusters(),
    controls=("NIST-CM-3", "NIST-CM-6", "NIST-CA-7"),
)
def policies_deny(world: World) -> Iterator[Violation]:
    intent = read_intent(world.repository, INTENT, _SCHEMA)
    if intent is None:
        if world.repository.is_file(README) and world.repository.is_file("tests/intent/floors.yaml"):
            yield Violation("no tests/intent/policies.yaml", "the policies that do not deny, with their reasons", Location("tests/intent/policies.yaml"))
        return
    yield from (Violation(fault.message, "tests/intent/policies.yaml as its schema wants it", fault.location) for fault in intent.faults)
    if intent.faults:
        return
    allowed: dict[str, Location] = {}
    for index, entry in enumerate(intent.body["audit"]):
        if world.cluster.name in entry["clusters"]:
            allowed[entry["policy"]] = intent.locate("audit", index, "policy")
    denying = set()
    for item in world.of(*POLICY_KINDS, BINDING):
        actions = _actions(item)
        if actions is None:
            continue
        name = text(item.spec.get("policyName")) if item.kind.endswith("Binding") else item.name
        if "Deny" in actions:
            denying.add(name)
        elif name not in allowed:
            found = f"{name} has {', '.join(actions) or 'no action'} in {world.cluster.name}"
            yield Violation(found, "Deny, or an entry in tests/intent/policies.yaml", item.locate("spec", "validationActions"))
    there = {item.name for item in world.of(*POLICY_KINDS)}
    for name, where in allowed.items():
        if name in denying or name not in there:
            yield Violation(
                f"{name} {'denies' if name in denying else 'is not'} in {world.cluster.name}", "an entry that is needed", where, fix="delete the entry"
            )


def _actions(item: Object) -> tuple[str, ...] | None:
    """The validation actions of a policy or binding; None for what has none. Kyverno denies when none is given."""
    if item.kind.endswith(("ValidatingPolicy", "ValidatingAdmissionPolicyBinding")):
        given = tuple(text(action) for action in items(item.spec.get("validationActions")))
        return given or (("Deny",) if item.group == KYVERNO else ())
    return None


@POL.rule(
    "POL206",
    title="the table of policies says what each cluster does",
    why="people decide by the table what they may deploy where; one that a build contradicts is worse than none",
    fix="nox -s docs rewrites policies/README.md; where it stays wrong, write the action as a patch that the table can read (tests/harness/rules/pol_table.py)",
    scope=Clusters(),
    own_only=True,
    controls=("NIST-CM-6",),
)
def table_is_true(world: World) -> Iterator[Violation]:
    listed = rows(world.repository)
    for item in world.of(*POLICY_KINDS):
        said = actions_of(world, item)
        row = listed.get(item.name)
        if row is None:
            yield Violation(f"{item.name} is not in the table", f"a row in {README}", Location(README))
        elif row.actions.get(world.cluster.name) != said:
            found = f"{item.name} in {world.cluster.name}: {row.actions.get(world.cluster.name)}"
            yield Violation(found, said, Location(README, row.line))


@POL.rule(
    "POL207",
    title="what protects namespaces from deletion protects every namespace of the cluster",
    why="deleting a namespace deletes its volumes, keys and certificates, and no Git brings them back; a label that one namespace has not leaves that one open",
    fix="widen the match of the policy, or give the namespace the label that it asks for",
    scope=Objects(("Namespace",), lambda item: item.name not in _IMMORTAL),
    severity=Severity.WARNING,
    controls=("NIST-CP-9", "NIST-CM-5"),
)
def namespaces_are_protected(item: Object, world: World) -> Iterator[Violation]:
    protected = world.derive(_protected)
    if protected and item.name not in protected:
        names = sorted({str(policy) for refusing in protected.values() for policy in refusing})
        yield Violation(f"nobody refuses its deletion; {', '.join(names)} refuses that of others ({len(protected)})", "a refusal, as for them", item.locate())


def _protected(world: World) -> dict[str, frozenset[PolicyId]]:
    """The namespaces of a cluster that an administrator cannot just delete, each with the policies that refuse, or would if they denied."""
    found: dict[str, frozenset[PolicyId]] = {}
    if not has_policies(world):
        return found
    policies = world.derive(reviewed).policies
    for item in world.of("Namespace"):
        said = policies.review(Request(None, old_object=labelled(item.body), operation="DELETE", user=_ADMINISTRATOR))
        refusing = frozenset(result.policy for result in said if result.status is Status.FAIL)
        if refusing:
            found[item.name] = refusing
    return found


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """What no policy was asked about, or could not answer, by name."""
    if not has_policies(world):
        yield NotEvaluated(world.cluster.name, "admission policies", "there is none among the objects")
        return
    found = world.derive(reviewed)
    for problem in (*found.policies.problems, *found.mutations.problems):
        if problem.unsupported:
            yield NotEvaluated(f"{world.cluster.name}/{problem.policy}", "policy", problem.message)
    for policy in {said.result.policy for said in found.unknown}:
        reasons = sorted({said.result.reason for said in found.unknown if said.result.policy == policy})
        number = sum(1 for said in found.unknown if said.result.policy == policy)
        yield NotEvaluated(f"{world.cluster.name}/{policy}", f"policy on {number} objects", "; ".join(reasons))
    reviewing = {*found.policies.policies, *found.mutations.policies}
    for item in world.of(*POLICY_KINDS):
        identity = PolicyId(item.kind, item.namespace, item.name)
        if identity not in reviewing:
            yield NotEvaluated(f"{world.cluster.name}/{identity}", "policy", "its kind is not evaluated")


RULES: Final = tuple(POL.rules)
