"""Where rights lead: chains from a subject to the whole cluster or to its nodes, shortest first, each step with the rule that allows it.

What somebody has is a set of facts (acts as, may do, runs pods in, …); a step needs some and gives one more. The search adds facts in
the order of their distance, so the chain that it finds for a goal is a shortest one, and the same one every time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.rbac.dangers import Right, rights_of
from harness.engines.rbac.subjects import MASTERS, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.rbac.policy import Policy
    from harness.engines.rbac.roles import Grant, Role
    from harness.engines.rbac.surroundings import Loan, Surroundings

ALL: Final = "*"
#: A fact, by its kind: ``as`` a subject, a ``role`` in a namespace, a ``right``, ``pods`` in a namespace, ``inside`` running pods, all ``rules`` of a
#: namespace, what is ``written`` into a role, and the two goals.
Fact = tuple[Any, ...]
ADMIN: Final[Fact] = ("admin",)
NODE: Final[Fact] = ("node",)
_ANYBODY: Final[Fact] = ("impersonates",)
_CLIENT_SIGNERS: Final = ("", "kubernetes.io/kube-apiserver-client", "kubernetes.io/*")


class Used(NamedTuple):
    """A right that a step uses: who has it, what it is, where it holds (``*``: everywhere), and the rule."""

    subject: str
    right: Right
    namespace: str
    grant: Grant

    def __str__(self) -> str:
        return f"{self.subject} may {self.right}{'' if self.namespace == ALL else f' in {self.namespace}'}"


class Step(NamedTuple):
    """One step of a chain: the rights it takes, and what is gained."""

    rights: tuple[Used, ...]
    gain: str


class _Edge(NamedTuple):
    needs: tuple[Fact, ...]
    gives: Fact
    says: str
    used: Used | None = None


class Escalation:
    """The search over one policy in its surroundings."""

    def __init__(self, policy: Policy, around: Surroundings) -> None:
        self.policy, self.around = policy, around
        self._edges: dict[Fact, tuple[_Edge, ...]] = {}
        self._namespaces = tuple(sorted({*around.accounts, *(binding.namespace for binding in policy.bindings if binding.namespace)}))
        self._accounts: dict[str, list[Subject]] = defaultdict(list)
        bound = {subject for subject in policy.subjects() if subject.kind == "ServiceAccount"}
        for account in sorted({*bound, *(each for found in around.accounts.values() for each in found)}):
            self._accounts[account.namespace].append(account)
        self._users = tuple(subject for subject in policy.subjects() if subject.kind == "User")
        self._loans: dict[tuple[str, str], list[Loan]] = defaultdict(list)
        for loan in around.loans:
            self._loans[loan.danger, loan.resource].append(loan)

    def subjects(self) -> tuple[Subject, ...]:
        """Everyone a search can start from: the bound subjects and the accounts that are known."""
        return tuple(sorted({*self.policy.subjects(), *(account for found in self._accounts.values() for account in found)}, key=str))

    def paths(self, subject: Subject, goals: tuple[Fact, ...] = (ADMIN, NODE)) -> dict[Fact, tuple[Step, ...]]:
        """For each goal that a subject can reach, a shortest chain."""
        start: Fact = ("as", subject)
        reached: dict[Fact, _Edge | None] = {start: None}
        waiting: dict[Fact, list[_Edge]] = defaultdict(list)
        queue = deque([start])
        while queue:
            fact = queue.popleft()
            for edge in (*self._from(fact), *waiting.pop(fact, ())):
                if edge.gives in reached:
                    continue
                missing = next((need for need in edge.needs if need not in reached), None)
                if missing is not None:
                    waiting[missing].append(edge)
                    continue
                reached[edge.gives] = edge
                queue.append(edge.gives)
            if all(goal in reached for goal in goals):
                break
        return {goal: _chain(goal, reached) for goal in goals if goal in reached}

    def _from(self, fact: Fact) -> tuple[_Edge, ...]:
        if fact not in self._edges:
            self._edges[fact] = tuple(self._made(fact))
        return self._edges[fact]

    def _made(self, fact: Fact) -> Iterator[_Edge]:
        kind = fact[0]
        if kind == "as":
            yield from self._as(fact)
        elif kind == "role":
            yield from self._of_role(fact)
        elif kind == "right":
            yield from self._of_right(fact, *fact[1:])
        elif kind == "pods":
            yield from self._of_pods(fact, fact[1])
        elif kind == "inside":
            yield from self._of_inside(fact, fact[1])
        elif kind == "rules":
            yield _Edge((fact,), ("pods", fact[1]), f"has every right in {fact[1]}, so runs pods there")
        elif kind == "written":
            yield from self._of_written(fact, fact[1], fact[2])

    def _as(self, fact: Fact) -> Iterator[_Edge]:
        subject: Subject = fact[1]
        if MASTERS in subject.groups:
            yield _Edge((fact,), ADMIN, f"is in {MASTERS}, which bypasses every check")
        for binding, position in self.policy.bindings_of(subject):
            entry, role = binding.subjects[position], self.policy.role_of(binding)
            if role is None or entry is None:
                continue
            if entry == subject:
                yield from self._rights(fact, str(subject), role, binding.namespace or ALL)
        for group in subject.groups:
            other = Subject("Group", group)
            if other != subject:
                yield _Edge((fact,), ("as", other), "")

    def _of_role(self, fact: Fact) -> Iterator[_Edge]:
        _, role, namespace = fact
        yield from self._rights(fact, str(role), role, namespace)

    def _rights(self, fact: Fact, holder: str, role: Role, namespace: str) -> Iterator[_Edge]:
        for grant in self.policy.grants(role):
            for right in rights_of(grant.rule):
                if right.danger.outside and namespace != ALL:
                    continue
                used = Used(holder, right, namespace, grant)
                for name in right.names or ("",):
                    node = _right(right, namespace, name)
                    if node is not None:
                        yield _Edge((fact,), node, "", used)

    def _places(self, namespace: str) -> tuple[str, ...]:
        return self._namespaces if namespace == ALL else (namespace,)

    def _accounts_in(self, namespace: str, name: str = "") -> Iterator[Subject]:
        for place in self._places(namespace):
            for account in self._accounts[place]:
                if name in ("", account.name):
                    yield account

    def _of_right(self, fact: Fact, danger: str, resource: str, namespace: str, name: str) -> Iterator[_Edge]:
        needs = (fact,)
        if danger == "everything":
            if namespace == ALL:
                yield _Edge(needs, ADMIN, "has every right in the cluster")
            else:
                yield _Edge(needs, ("rules", namespace), "")
        elif danger == "rbac:bind":
            yield from self._of_bind(fact, resource, namespace, name)
        elif danger in ("rbac:escalate", "roles:write"):
            yield from self._of_escalate(fact, danger, resource, namespace, name)
        elif danger == "rbac:impersonate":
            yield from self._of_impersonate(fact, resource, namespace, name)
        elif danger == "tokens:create":
            for account in self._accounts_in(namespace, name):
                yield _Edge(needs, ("as", account), f"gets a token of {account}")
        elif danger == "secrets:read":
            for (home, secret), account_name in sorted(self.around.tokens.items()):
                if namespace in (ALL, home) and name in ("", secret):
                    yield _Edge(needs, ("as", Subject("ServiceAccount", account_name, home)), f"reads the token in Secret {home}/{secret}")
        elif danger == "secrets:write":
            for place in self._places(namespace):
                for account in self._accounts[place]:
                    for where in (place, ALL):
                        read: Fact = ("right", "secrets:read", "secrets", where, "")
                        yield _Edge((fact, read), ("as", account), f"has a Secret filled with a token of {account}, and reads it")
        elif danger in ("sealedsecrets:write", "externalsecrets:write", "vault:write"):
            yield _Edge(needs, ("right", "secrets:write", "secrets", namespace, ""), "has a controller write Secrets there")
        elif danger == "pods:create":
            yield _Edge(needs, ("pods", namespace), f"runs pods in {'every namespace' if namespace == ALL else namespace}")
        elif danger in ("pods:exec", "pods:debug", "pods:change"):
            yield _Edge(needs, ("inside", namespace), f"runs commands in the pods of {'every namespace' if namespace == ALL else namespace}")
        elif danger == "nodes:proxy":
            yield _Edge(needs, NODE, "runs commands in every pod of every node through the kubelets")
            yield _Edge(needs, ("inside", ALL), "runs commands in every pod through the kubelets")
        elif danger == "csr:approve":
            for signer in _CLIENT_SIGNERS:
                others = (("right", "csr:create", "certificatesigningrequests", ALL, ""), ("right", "signers:approve", "signers", ALL, signer))
                yield _Edge((fact, *others), ADMIN, "issues itself a client certificate of any user, such as the controller manager's")
        elif danger == "admission:write" and resource in ("mutatingwebhookconfigurations", "mutatingadmissionpolicies"):
            yield _Edge(needs, ADMIN, "alters objects as they are admitted, bindings and pods among them")
        elif danger == "policies:write" and resource in ("mutatingpolicies", "clusterpolicies"):
            yield _Edge(needs, ADMIN, "has the policy engine alter objects as they are admitted, bindings and pods among them")
        elif danger == "policies:write" and resource in ("namespacedmutatingpolicies", "policies"):
            yield _Edge(needs, ("pods", namespace), "has the policy engine alter the pods of the namespace")
        for loan in self._loans.get((danger, resource), ()):
            if namespace in (ALL, loan.namespace) and ("" in (name, loan.name) or name == loan.name):
                if loan.reads:
                    yield _Edge(needs, ("right", "secrets:read", "secrets", loan.namespace, ""), loan.says)
                else:
                    yield _Edge(needs, ADMIN if loan.gain is None else ("as", loan.gain), loan.says)

    def _of_bind(self, fact: Fact, resource: str, namespace: str, name: str) -> Iterator[_Edge]:
        write = ("right", "bindings:write")
        if namespace == ALL and resource == "clusterroles":
            with_binding: tuple[Fact, ...] = (fact, (*write, "clusterrolebindings", ALL, ""))
            role = self.policy.roles.get(("", name))
            if not name:
                yield _Edge(with_binding, ADMIN, "binds itself to cluster-admin")
            elif role is not None:
                yield _Edge(with_binding, ("role", role, ALL), f"binds itself to ClusterRole {name}")
        for place in self._places(namespace):
            role = self.policy.roles.get(("" if resource == "clusterroles" else place, name))
            for where in (place, ALL):
                needs: tuple[Fact, ...] = (fact, (*write, "rolebindings", where, ""))
                if not name and resource == "clusterroles":
                    yield _Edge(needs, ("rules", place), f"binds itself to cluster-admin in {place}")
                elif role is not None:
                    yield _Edge(needs, ("role", role, place), f"binds itself to {role} in {place}")
                elif not name:
                    for key, each in sorted(self.policy.roles.items()):
                        if key[0] == place:
                            yield _Edge(needs, ("role", each, place), f"binds itself to {each}")

    def _of_escalate(self, fact: Fact, danger: str, resource: str, namespace: str, name: str) -> Iterator[_Edge]:
        """Both rights are needed, on the same role. The pair is listed with the one that names a role."""
        other = "roles:write" if danger == "rbac:escalate" else "rbac:escalate"
        for where in dict.fromkeys((namespace, ALL)):
            for each in dict.fromkeys((name, "")):
                yield _Edge((fact, ("right", other, resource, where, each)), ("written", (resource, namespace), name), "")

    def _of_written(self, fact: Fact, where: tuple[str, str], name: str) -> Iterator[_Edge]:
        resource, namespace = where
        for (home, each), role in sorted(self.policy.roles.items()):
            if name not in ("", each) or bool(home) != (resource == "roles") or (home and namespace not in (ALL, home)):
                continue
            for binding in self.policy.bound(role):
                for subject in dict.fromkeys(subject for subject in binding.subjects if subject is not None):
                    gain: Fact = ("rules", binding.namespace) if binding.namespace else ADMIN
                    yield _Edge((fact, ("as", subject)), gain, f"writes every right into {role}, which {subject} is bound to")

    def _of_impersonate(self, fact: Fact, resource: str, namespace: str, name: str) -> Iterator[_Edge]:
        needs = (fact,)
        if resource == "serviceaccounts":
            yield _Edge(needs, _ANYBODY, "")
            for account in self._accounts_in(namespace, name):
                yield _Edge(needs, ("as", account), f"acts as {account}")
        elif resource == "users" and namespace == ALL:
            yield _Edge(needs, _ANYBODY, "")
            for user in self._users if not name else (Subject("User", name),):
                yield _Edge(needs, ("as", user), f"acts as {user}")
        elif resource == "groups" and namespace == ALL:
            group = Subject("Group", name or MASTERS)
            yield _Edge((fact, _ANYBODY), ("as", group), f"acts as a member of {group.name}")

    def _of_pods(self, fact: Fact, namespace: str) -> Iterator[_Edge]:
        for account in self._accounts_in(namespace):
            yield _Edge((fact,), ("as", account), f"runs a pod as {account}")
        yield _Edge((fact,), ("right", "secrets:read", "secrets", namespace, ""), "mounts any Secret of the namespace")
        free = next((place for place in self._places(namespace) if self.around.admits_privileged(place)), None)
        if free is not None:
            yield _Edge((fact,), NODE, f"runs a privileged pod: {free} enforces no Pod Security level that refuses it")
        yield _Edge((fact, ("right", "volumes:create", "persistentvolumes", ALL, "")), NODE, "mounts a hostPath PersistentVolume that it made")
        for place in self._places(namespace):
            for where, name in ((ALL, ""), (ALL, place), (place, ""), (place, place)):
                patch: Fact = ("right", "namespaces:patch", "namespaces", where, name)
                yield _Edge((fact, patch), NODE, f"relabels {place} so that privileged pods are admitted, and runs one")

    def _of_inside(self, fact: Fact, namespace: str) -> Iterator[_Edge]:
        for place in sorted(self.around.running) if namespace == ALL else (namespace,):
            for pod in self.around.running.get(place, ()):
                if pod.on_node:
                    yield _Edge((fact,), NODE, f"takes over the node from a pod of {place} that reaches it")
                if pod.token:
                    yield _Edge((fact,), ("as", pod.account), f"takes the token of {pod.account} from its pod")


def _right(right: Right, namespace: str, name: str) -> Fact | None:
    """The fact that a right is. None where its verbs are not enough for what it is about."""
    danger, resource, verbs = right.danger.id, right.resource, set(right.verbs)
    if danger == "everything":
        return ("right", danger, "", namespace, "")
    if danger == "bindings:write":
        name = ""
    elif danger == "secrets:write":
        if "create" not in verbs:
            return None
    elif danger == "admission:write" or danger.startswith("policies:"):
        if not verbs & {"create", "update", "patch"}:
            return None
    elif resource in ("pods/portforward", "pods/proxy", "services/proxy"):
        return None
    return ("right", danger, resource, namespace, name)


def _chain(goal: Fact, reached: dict[Fact, _Edge | None]) -> tuple[Step, ...]:
    """The steps to a goal. What says nothing by itself is part of the step that uses it; what takes no further right is part of the step before."""
    order: list[_Edge] = []
    seen: set[Fact] = set()

    def visit(fact: Fact) -> None:
        edge = reached[fact]
        if fact in seen or edge is None:
            return
        seen.add(fact)
        for need in edge.needs:
            visit(need)
        order.append(edge)

    visit(goal)
    steps: list[Step] = []
    rights: list[Used] = []
    for edge in order:
        if edge.used is not None:
            rights.append(edge.used)
        elif edge.says:
            if rights or not steps:
                steps.append(Step(tuple(dict.fromkeys(rights)), edge.says))
            else:
                steps[-1] = steps[-1]._replace(gain=f"{steps[-1].gain}, then {edge.says}")
            rights = []
    return tuple(steps)


def paths_of(policy: Policy, around: Surroundings, subjects: Iterable[Subject] | None = None) -> dict[Subject, dict[Fact, tuple[Step, ...]]]:
    """The chains of every subject (or of some) that has any."""
    search = Escalation(policy, around)
    found = {subject: search.paths(subject) for subject in (search.subjects() if subjects is None else subjects)}
    return {subject: chains for subject, chains in found.items() if chains}
