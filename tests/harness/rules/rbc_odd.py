"""Rules about roles and bindings that mean less, or more, than they look (RBC3xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.engines.rbac import defaults
from harness.engines.rbac.api import SPECIAL_VERBS, VERBS, is_odd_verb
from harness.engines.rbac.roles import GROUP, read_subject
from harness.engines.rbac.rules import read_rule
from harness.engines.rbac.subjects import ANONYMOUS, UNAUTHENTICATED
from harness.engines.selectors import selector_matches
from harness.model import NotEvaluated, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.order_makers import may_be_elsewhere
from harness.rules.rbc_common import BINDINGS, PRACTICES, ROLES, access, from_chart, is_used, role_name, subjects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.rbac.api import Resources
    from harness.engines.rbac.roles import Role
    from harness.engines.rbac.rules import Rule
    from harness.flux.world import World
    from harness.model import Object

RBC: Final = Registry()
_WIDE: Final = {"system:authenticated": "whoever has any identity", UNAUTHENTICATED: "whoever reaches the API server", "system:serviceaccounts": "every pod"}


@RBC.rule(
    "RBC301",
    title="a binding refers to a role that exists",
    why="a binding to nothing grants nothing, until somebody makes a role of that name (RBAC: roleRef is resolved at each request)",
    fix="correct roleRef, add the role, or delete the binding",
    scope=Objects(BINDINGS),
    controls=("CIS-5.1.1", "NIST-AC-3"),
)
def role_exists(binding: Object, world: World) -> Iterator[Violation]:
    reference = mapping(binding.body.get("roleRef"))
    kind, name = text(reference.get("kind")), text(reference.get("name"))
    group = text(reference.get("apiGroup"))
    if group not in ("", GROUP):
        yield violation(binding, "roleRef", "apiGroup", found=f"roleRef.apiGroup: {group}", expect=GROUP)
    if kind not in ("Role", "ClusterRole"):
        yield violation(binding, "roleRef", found=f"roleRef.kind: {kind or 'none'}", expect="Role or ClusterRole")
    elif kind == "Role" and binding.kind == "ClusterRoleBinding":
        yield violation(binding, "roleRef", "kind", found=f"a ClusterRoleBinding to Role {name}", expect="a ClusterRole, or a RoleBinding")
    elif (home := (binding.namespace or "default") if kind == "Role" else "", name) not in access(world).policy.roles and not may_be_elsewhere(world, home):
        where = f" in {binding.namespace}" if kind == "Role" else ""
        yield violation(binding, "roleRef", "name", found=f"{role_name(binding)} does not exist{where}", expect="a role that exists")


@RBC.rule(
    "RBC302",
    title="a service account that is bound exists",
    why="whoever may make a service account of that name has its rights (RBAC: subjects are names, not references)",
    fix="correct name and namespace, add the ServiceAccount, or take the subject out",
    scope=Objects(BINDINGS),
    severity=Severity.WARNING,
    controls=("CIS-5.1.5", "NIST-AC-2"),
)
def account_exists(binding: Object, world: World) -> Iterator[Violation]:
    around = access(world).around
    for index, entry in subjects_of(binding):
        subject = read_subject(entry, (binding.namespace or "default") if binding.kind == "RoleBinding" else "")
        if subject is None or subject.kind != "ServiceAccount" or around.exists(subject) or may_be_elsewhere(world, subject.namespace):
            continue
        if subject.namespace == "kube-system" and (subject.namespace, subject.name) in defaults.service_accounts():
            continue
        yield violation(binding, "subjects", index, found=f"there is no ServiceAccount {subject.namespace}/{subject.name}", expect="an account that exists")


@RBC.rule(
    "RBC303",
    title="a role is bound to somebody",
    why="a role that nobody has says nothing about the cluster, and is given to somebody without a second look",
    fix="bind it, label it for aggregation, or delete it",
    scope=Objects(ROLES, where=lambda item: not from_chart(item)),
    severity=Severity.NOTE,
    controls=("NIST-AC-2",),
)
def role_is_bound(item: Object, world: World) -> Iterator[Violation]:
    policy = access(world).policy
    role = _role(item, world)
    if role is not None and not is_used(policy, role) and defaults.cluster_role(item.name) is None and not may_be_elsewhere(world, role.namespace):
        yield violation(item, "metadata", "name", found=f"nobody is bound to {role}", expect="a binding to it")


def _role(item: Object, world: World) -> Role | None:
    role = access(world).policy.roles.get(((item.namespace or "default") if item.kind == "Role" else "", item.name))
    return role if role is not None and role.object is item else None


@RBC.rule(
    "RBC304",
    title="nothing is bound to a default service account",
    why="every pod that names no account of its own has those rights (CIS 5.1.5)",
    fix="make a service account for the workload, and bind that",
    scope=Objects(BINDINGS),
    severity=Severity.WARNING,
    controls=("CIS-5.1.5", "NIST-AC-6"),
)
def not_the_default_account(binding: Object, world: World) -> Iterator[Violation]:
    for index, entry in subjects_of(binding):
        if entry.get("kind") == "ServiceAccount" and entry.get("name") == "default":
            namespace = text(entry.get("namespace")) or binding.namespace
            yield violation(binding, "subjects", index, found=f"{role_name(binding)} for the default account of {namespace}", expect="an account of its own")


@RBC.rule(
    "RBC305",
    title="nothing is bound to everybody",
    why=(
        f"system:anonymous and system:unauthenticated are whoever reaches the API server; the other groups are every identity there is ({PRACTICES}, Hardening)"
    ),
    fix="bind the users, groups or accounts that need it",
    scope=Objects(BINDINGS),
    severity=Severity.WARNING,
    controls=("CIS-5.1.1", "NIST-AC-14"),
)
def not_everybody(binding: Object, world: World) -> Iterator[Violation]:
    for index, entry in subjects_of(binding):
        name = text(entry.get("name"))
        who = (
            _WIDE.get(name) if entry.get("kind") == "Group" else "whoever reaches the API server" if (entry.get("kind"), name) == ("User", ANONYMOUS) else None
        )
        if who is not None and not _is_default(binding, name):
            yield violation(binding, "subjects", index, found=f"{role_name(binding)} for {name}: {who}", expect="those that need it")


def _is_default(binding: Object, name: str) -> bool:
    """Whether the API server binds it so itself."""
    for each in defaults.bindings():
        if (each.namespace, each.name, f"{each.role_kind} {each.role_name}") == (binding.namespace, binding.name, role_name(binding)):
            return any(subject is not None and subject.name == name for subject in each.subjects)
    return False


@RBC.rule(
    "RBC306",
    title="an aggregated ClusterRole gathers rules, and has none of its own",
    why="a selector that matches nothing leaves the role empty, and rules written beside it are overwritten by the controller (RBAC: Aggregated ClusterRoles)",
    fix="correct the labels; move the rules into a ClusterRole with one of them",
    scope=Objects((ROLES[0],), where=lambda item: "aggregationRule" in item.body),
    severity=Severity.WARNING,
    controls=("NIST-AC-3",),
)
def aggregation_gathers(item: Object, world: World) -> Iterator[Violation]:
    role = _role(item, world)
    if role is None or role.selectors is None:
        return
    others = [each for (namespace, _), each in access(world).policy.roles.items() if not namespace and each is not role]
    if not role.selectors:
        yield violation(item, "aggregationRule", found="no clusterRoleSelectors", expect="at least one selector")
    for index, selector in enumerate(role.selectors):
        # A chart's role is filled by what others install; the default ones exist for that.
        if not any(selector_matches(selector, each.labels) for each in others) and not from_chart(item) and not may_be_elsewhere(world, ""):
            yield violation(
                item, "aggregationRule", "clusterRoleSelectors", index, found="the selector matches no ClusterRole", expect="a ClusterRole with these labels"
            )
    if role.rules and not _same(role, access(world).policy.grants(role)):
        yield violation(item, "rules", found=f"{len(role.rules)} rules of its own, which are overwritten", expect="no rules beside aggregationRule")


def _same(role: Role, grants: Any) -> bool:
    """Whether the rules are those that are gathered anyhow: an export of a live cluster holds them."""
    return {grant.rule for grant in grants} >= set(role.rules)


@RBC.rule(
    "RBC307",
    title="every part of a rule can match a request",
    why=(
        "a resource in the wrong group, a misspelt verb, pods/* or a name with create never matches: what was meant is missing, and appears as a wider "
        "rule later (RBAC: resource requests have an API group, a plural and a name only where the URL has one)"
    ),
    fix="correct group, resource or verb; give create and deletecollection a rule without resourceNames; move URLs into a ClusterRole",
    # A chart's role names what its program may meet elsewhere, and is not edited here.
    scope=Objects(ROLES, where=lambda item: not from_chart(item)),
    severity=Severity.WARNING,
    controls=("NIST-AC-3",),
)
def rule_can_match(item: Object, world: World) -> Iterator[Violation]:
    resources = access(world).resources
    for index, body in enumerate(items(item.body.get("rules"))):
        rule = read_rule(body)
        for field, found, expect in _dead(rule, item.kind == "Role", resources):
            yield violation(item, "rules", index, *((field,) if field in mapping(body) else ()), found=found, expect=expect)


def _dead(rule: Rule, namespaced: bool, resources: Resources) -> Iterator[tuple[str, str, str]]:
    if rule.urls and namespaced:
        yield "nonResourceURLs", f"URLs in a Role: {', '.join(rule.urls)}", "URLs in a ClusterRole, bound by a ClusterRoleBinding"
    for url in rule.urls:
        if url != "*" and (not url.startswith("/") or "*" in url.rstrip("*")):
            yield "nonResourceURLs", f"URL {url}", "a path that starts with a slash, with a * at its end only"
    for resource in rule.resources:
        if resource.endswith("/*"):
            yield "resources", f"{resource} is no pattern", f"the subresources of {resource.removesuffix('/*')}, each by its name"
            continue
        if "*" in resource or "*" in rule.groups or not rule.groups:
            continue
        known = [resources.exists(group, resource) for group in rule.groups]
        if not any(found is not False for found in known):
            near = resources.near(resource)
            homes = ", ".join(group or "the core group" for group in near)
            shown = " and ".join(group or "the core group" for group in rule.groups)
            yield "resources", f"there is no {resource} in {shown}", f"{resource} is in {homes}" if near else "the plural of a kind, in its API group"
        elif namespaced and all(resources.scope(group, resource) is False for group in rule.groups) and resource != "namespaces":
            yield "resources", f"{resource} live outside of namespaces, where a Role does not reach", "a ClusterRole with a ClusterRoleBinding"
    for verb in rule.verbs:
        if is_odd_verb(verb):
            yield "verbs", f"verb {verb}", f"one of {', '.join(sorted(VERBS))}"
        elif verb in SPECIAL_VERBS and rule.groups and "*" not in rule.groups and not set(SPECIAL_VERBS[verb]) & set(rule.groups):
            where = " or ".join(group or "the core group" for group in SPECIAL_VERBS[verb])
            yield "verbs", f"verb {verb} means nothing in {', '.join(group or 'the core group' for group in rule.groups)}", f"{verb} in {where}"
    nameless = [verb for verb in ("create", "deletecollection") if verb in rule.verbs]
    if rule.names and nameless and any("/" not in resource for resource in rule.resources):
        yield (
            "resourceNames",
            f"{' and '.join(nameless)} with resourceNames: the request has no name to compare",
            f"{' and '.join(nameless)} in a rule without resourceNames",
        )


@RBC.rule(
    "RBC308",
    title="rules and subjects are whole: nothing in them is ignored or refused",
    why="the API server refuses such an object, and with it the whole apply; where it does not, the entry stands for nobody (RBAC validation; appliesToUser)",
    fix="give the field that is named",
    scope=Objects((*ROLES, *BINDINGS)),
    controls=("NIST-AC-3",),
)
def whole(item: Object, world: World) -> Iterator[Violation]:
    if item.kind in ("Role", "ClusterRole"):
        yield from _rules(item)
        return
    for index, entry in enumerate(items(item.body.get("subjects"))):
        problem = _subject_problem(mapping(entry), item.kind == "ClusterRoleBinding")
        if problem:
            yield violation(item, "subjects", index, found=problem[0], expect=problem[1])


def _rules(item: Object) -> Iterator[Violation]:
    for index, body in enumerate(items(item.body.get("rules"))):
        rule = read_rule(body)
        if not rule.verbs:
            yield violation(item, "rules", index, found="a rule without verbs", expect="at least one verb")
        if rule.urls and (rule.groups or rule.resources or rule.names):
            yield violation(item, "rules", index, found="a rule with URLs and with resources", expect="two rules")
        elif not rule.urls and not rule.resources:
            yield violation(item, "rules", index, found="a rule without resources", expect="at least one resource, or a URL")
        elif not rule.urls and not rule.groups:
            yield violation(item, "rules", index, found="a rule without apiGroups", expect="the API groups; '' is the core group")


def _subject_problem(entry: dict[str, Any], cluster: bool) -> tuple[str, str] | None:
    kind, name, group = text(entry.get("kind")), text(entry.get("name")), text(entry.get("apiGroup"))
    if kind not in ("User", "Group", "ServiceAccount"):
        return f"subject of kind {kind or 'none'}", "User, Group or ServiceAccount"
    if not name:
        return f"a {kind} without a name", "its name"
    if kind == "ServiceAccount":
        if group:
            return f"apiGroup {group} for a ServiceAccount", "no apiGroup"
        if cluster and not text(entry.get("namespace")):
            return f"ServiceAccount {name} without a namespace in a ClusterRoleBinding", "its namespace"
    elif group not in ("", GROUP):
        return f"apiGroup {group} for a {kind}", GROUP
    elif kind == "Group" and name.startswith("system:serviceaccount:"):
        return f"group {name}, which is the name of one account", "a subject of kind ServiceAccount, or group system:serviceaccounts:<namespace>"
    return None


#: API groups of authorizers beside RBAC, and whose they are.
_OTHER_AUTHORIZERS: Final = {
    "authorization.openshift.io": "OpenShift's own roles",
    "management.cattle.io": "Rancher's role templates",
    "iam.kubesphere.io": "KubeSphere's roles",
    "rbac.projectcalico.org": "Calico Enterprise's roles",
}


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    for group, what in _OTHER_AUTHORIZERS.items():
        number = sum(1 for item in world.objects if item.group == group and ("Role" in item.kind or "Binding" in item.kind))
        if number:
            yield NotEvaluated(world.cluster.name, f"{number} objects of {group}", f"{what} are turned into RBAC by a controller in the cluster")
    if may_be_elsewhere(world, "") and world.of(*BINDINGS):
        yield NotEvaluated("RBC301, RBC302, RBC303, RBC306", "whether roles, accounts and bindings exist", "some of the cluster's objects come from elsewhere")


RULES: Final = tuple(RBC.rules)
