"""Where rights lead: every technique by itself, and the search against a slow fixpoint over sets."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.rbac.dangers import BY_ID, DANGERS, rights_of, severity_of
from harness.engines.rbac.paths import ADMIN, NODE, Escalation, paths_of
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Rule
from harness.engines.rbac.subjects import Subject, parse_subject, service_account
from harness.engines.rbac.surroundings import Loan, Running, Surroundings, reaches_node, surroundings
from harness.model import Location, Object, ObjectId, Origin
from harness.model.pods import pods_of
from hypothesis import given, settings
from hypothesis import strategies as st

GROUP = "rbac.authorization.k8s.io"
ALICE = Subject("User", "alice")


def rule(verbs: str, resources: str, group: str = "", *names: str) -> dict[str, Any]:
    return {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split(), "resourceNames": list(names)}


def obj(kind: str, name: str, namespace: str = "", api: str = f"{GROUP}/v1", **body: Any) -> Object:
    group = api.rpartition("/")[0]
    metadata = {"name": name, "namespace": namespace, "labels": body.pop("labels", {}), "annotations": body.pop("annotations", {})}
    whole = {"apiVersion": api, "kind": kind, "metadata": metadata, **body}
    return Object(
        ObjectId("test", group, kind, namespace, name),
        whole,
        Origin(lambda pointer: Location(f"{name}.yaml", 1 + sum(p for p in pointer if isinstance(p, int)))),
    )


def bound(rules: list[dict[str, Any]], subject: str = "user:alice", namespace: str = "", name: str = "r") -> list[Object]:
    """A role with rules and its binding: for the cluster, or in a namespace."""
    who = parse_subject(subject)
    entry = {"kind": who.kind, "name": who.name, **({"namespace": who.namespace} if who.namespace else {})}
    kind = "Role" if namespace else "ClusterRole"
    return [obj(kind, name, namespace, rules=rules), obj(f"{kind}Binding", name, namespace, roleRef={"kind": kind, "name": name}, subjects=[entry])]


#: An account with every right, in a namespace that admits nothing privileged.
VICTIM = bound([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], "sa:ops/root", name="root")
NAMESPACES = [
    obj("Namespace", name, api="v1", labels={"pod-security.kubernetes.io/enforce": level})
    for name, level in (("ops", "restricted"), ("dev", "baseline"), ("raw", "privileged"))
]
ACCOUNTS = [obj("ServiceAccount", "root", "ops", api="v1"), obj("ServiceAccount", "app", "dev", api="v1")]


def lead(objects: list[Object], subject: Subject = ALICE, *, built_in: bool = False, loans: tuple[Loan, ...] = ()) -> dict[str, list[str]]:
    """The goals that a subject comes to, each with what its steps gain."""
    everything = [*NAMESPACES, *ACCOUNTS, *VICTIM, *objects]
    policy = Policy.of_objects(everything, built_in=built_in)
    around = surroundings(everything, pods_of(everything), policy, loans)
    return {goal[0]: [step.gain for step in steps] for goal, steps in Escalation(policy, around).paths(subject).items()}


HAS_ALL = "has every right in the cluster"


class TestTechniques:
    def test_everything_is_one_step(self) -> None:
        assert lead(bound([rule("*", "*", "*")])) == {"admin": [HAS_ALL]}

    @pytest.mark.parametrize(
        "rules",
        [
            [rule("get list watch", "pods configmaps")],
            [rule("create", "tokenreviews", "authentication.k8s.io")],
            [rule("create delete", "roles rolebindings clusterroles clusterrolebindings", GROUP)],
            [rule("bind", "clusterroles", GROUP)],
            [rule("escalate", "clusterroles", GROUP)],
            [rule("get list watch", "secrets")],
            [rule("create", "secrets", "", "a"), rule("get", "secrets")],
            [rule("create", "certificatesigningrequests", "certificates.k8s.io"), rule("update", "certificatesigningrequests/approval", "certificates.k8s.io")],
            [rule("delete", "mutatingwebhookconfigurations", "admissionregistration.k8s.io")],
            [rule("update", "validatingwebhookconfigurations", "admissionregistration.k8s.io")],
            [rule("impersonate", "groups")],
            [rule("create", "pods/portforward pods/eviction")],
            [rule("create", "persistentvolumes")],
            [rule("patch", "namespaces nodes")],
            [rule("create", "serviceaccounts/token", "", "nobody")],
        ],
        ids=str,
    )
    def test_half_a_technique_leads_nowhere(self, rules: list[dict[str, Any]]) -> None:
        assert lead(bound(rules)) == {}

    @pytest.mark.parametrize(
        ("rules", "steps"),
        [
            ([rule("bind", "clusterroles", GROUP), rule("create", "clusterrolebindings", GROUP)], ["binds itself to cluster-admin"]),
            ([rule("bind", "clusterroles", GROUP, "root"), rule("patch", "clusterrolebindings", GROUP, "mine")], ["binds itself to ClusterRole root", HAS_ALL]),
            (
                [rule("escalate update", "clusterroles", GROUP, "r")],
                ["writes every right into ClusterRole/r, which user:alice is bound to"],
            ),
            (
                [rule("escalate", "clusterroles", GROUP), rule("patch", "clusterroles", GROUP, "r")],
                ["writes every right into ClusterRole/r, which user:alice is bound to"],
            ),
            ([rule("impersonate", "users groups")], ["acts as a member of system:masters, then is in system:masters, which bypasses every check"]),
            ([rule("impersonate", "serviceaccounts", "", "root")], ["acts as sa:ops/root", HAS_ALL]),
            ([rule("create", "serviceaccounts/token", "", "root")], ["gets a token of sa:ops/root", HAS_ALL]),
            ([rule("create", "secrets"), rule("watch", "secrets")], ["has a Secret filled with a token of sa:ops/root, and reads it", HAS_ALL]),
            (
                [rule("create", "sealedsecrets", "bitnami.com"), rule("get", "secrets")],
                ["has a controller write Secrets there", "has a Secret filled with a token of sa:ops/root, and reads it", HAS_ALL],
            ),
            (
                [rule("update", "mutatingwebhookconfigurations", "admissionregistration.k8s.io", "one")],
                ["alters objects as they are admitted, bindings and pods among them"],
            ),
            (
                [
                    rule("create", "certificatesigningrequests", "certificates.k8s.io"),
                    rule("patch", "certificatesigningrequests/approval", "certificates.k8s.io"),
                    rule("approve", "signers", "certificates.k8s.io", "kubernetes.io/kube-apiserver-client"),
                ],
                ["issues itself a client certificate of any user, such as the controller manager's"],
            ),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_to_the_whole_cluster(self, rules: list[dict[str, Any]], steps: list[str]) -> None:
        assert lead(bound(rules))["admin"] == steps

    @pytest.mark.parametrize(
        ("namespace", "rules", "expected"),
        [
            ("ops", [rule("create", "deployments", "apps")], {"admin": ["runs pods in ops, then runs a pod as sa:ops/root", HAS_ALL]}),
            ("ops", [rule("patch", "cronjobs", "batch", "one")], {"admin": ["runs pods in ops, then runs a pod as sa:ops/root", HAS_ALL]}),
            ("ops", [rule("patch", "jobs", "batch")], {}),
            ("ops", [rule("create", "prometheuses", "monitoring.coreos.com")], {"admin": ["runs pods in ops, then runs a pod as sa:ops/root", HAS_ALL]}),
            ("dev", [rule("create", "pods")], {}),
            ("raw", [rule("create", "pods")], {"node": ["runs pods in raw, then runs a privileged pod: raw enforces no Pod Security level that refuses it"]}),
            (
                "dev",
                [rule("create", "pods"), rule("patch", "namespaces")],
                {"node": ["runs pods in dev", "relabels dev so that privileged pods are admitted, and runs one"]},
            ),
            ("dev", [rule("get", "nodes/proxy")], {}),
            ("ops", [rule("*", "*", "*")], {"admin": ["has every right in ops, so runs pods there, then runs a pod as sa:ops/root", HAS_ALL]}),
            (
                "ops",
                [rule("bind", "clusterroles", GROUP), rule("create", "rolebindings", GROUP)],
                {"admin": ["binds itself to cluster-admin in ops, then has every right in ops, so runs pods there, then runs a pod as sa:ops/root", HAS_ALL]},
            ),
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_in_a_namespace(self, namespace: str, rules: list[dict[str, Any]], expected: dict[str, list[str]]) -> None:
        assert lead(bound(rules, namespace=namespace)) == expected

    def test_the_kubelets_need_get_only(self) -> None:
        assert lead(bound([rule("get", "nodes/proxy")])) == {"node": ["runs commands in every pod of every node through the kubelets"]}

    def test_a_volume_of_its_own_and_a_pod(self) -> None:
        objects = [*bound([rule("create", "persistentvolumes")]), *bound([rule("create", "pods")], namespace="dev")]
        assert lead(objects)["node"] == ["runs pods in dev", "mounts a hostPath PersistentVolume that it made"]

    def test_the_token_of_a_pod_is_taken_from_inside(self) -> None:
        def pod(**spec: Any) -> Object:
            return obj("Pod", "p", "ops", api="v1", spec={"serviceAccountName": "root", "containers": [], **spec})

        inside = bound([rule("get", "pods/exec")], namespace="ops")
        assert lead([*inside, pod()]) == {"admin": ["runs commands in the pods of ops, then takes the token of sa:ops/root from its pod", HAS_ALL]}
        assert lead([*inside, pod(automountServiceAccountToken=False)]) == {}
        assert lead([*bound([rule("patch", "pods/ephemeralcontainers")], namespace="ops"), pod(hostPID=True)])["node"] == [
            "runs commands in the pods of ops, then takes over the node from a pod of ops that reaches it"
        ]

    def test_a_token_that_lies_in_a_secret_is_read(self) -> None:
        secret = obj("Secret", "t", "ops", api="v1", type="kubernetes.io/service-account-token", annotations={"kubernetes.io/service-account.name": "root"})
        assert lead([secret, *bound([rule("list", "secrets", "", "t")])]) == {"admin": ["reads the token in Secret ops/t", HAS_ALL]}
        assert lead([secret, *bound([rule("list", "secrets", "", "other")])]) == {}

    def test_pods_in_kube_system_come_to_everything(self) -> None:
        gains = lead(bound([rule("create", "pods")], namespace="kube-system"), built_in=True)["admin"]
        assert gains == [
            "runs pods in kube-system, then runs a pod as sa:kube-system/generic-garbage-collector",
            "alters objects as they are admitted, bindings and pods among them",
        ]

    def test_everyone_in_a_group_has_what_the_group_has(self) -> None:
        objects = bound([rule("get", "nodes/proxy")], "group:system:serviceaccounts:dev")
        assert set(lead(objects, service_account("dev", "app"))) == {"node"}
        assert lead(objects, service_account("ops", "other")) == {}

    def test_a_loan_holds_where_it_is_given_and_for_its_name(self) -> None:
        loan = Loan("flux:sources", "gitrepositories", "dev", service_account("ops", "root"), "has Flux apply it", "repo")
        write = rule("patch", "gitrepositories", "source.toolkit.fluxcd.io")
        assert lead(bound([write], namespace="dev"), loans=(loan,)) == {"admin": ["has Flux apply it", HAS_ALL]}
        assert lead(bound([write], namespace="ops"), loans=(loan,)) == {}
        assert lead(bound([{**write, "resourceNames": ["other"]}]), loans=(loan,)) == {}
        assert lead(bound([{**write, "resourceNames": ["repo"]}]), loans=(loan._replace(gain=None),)) == {"admin": ["has Flux apply it"]}

    def test_secrets_that_a_controller_reads_are_read(self) -> None:
        secret = obj("Secret", "t", "ops", api="v1", type="kubernetes.io/service-account-token", annotations={"kubernetes.io/service-account.name": "root"})
        loan = Loan("flux:apply", "kustomizations", "ops", None, "has Flux read Secrets", reads=True)
        apply = bound([rule("patch", "kustomizations", "kustomize.toolkit.fluxcd.io")], namespace="ops")
        assert lead([secret, *apply], loans=(loan,)) == {"admin": ["has Flux read Secrets, then reads the token in Secret ops/t", HAS_ALL]}
        assert lead(apply, loans=(loan,)) == {}

    def test_masters_need_nothing(self) -> None:
        assert lead([], Subject("Group", "system:masters")) == {"admin": ["is in system:masters, which bypasses every check"]}

    def test_a_cloud_map_of_identities_is_the_cluster(self) -> None:
        config = obj("ConfigMap", "aws-auth", "kube-system", api="v1")
        assert lead([config, *bound([rule("patch", "configmaps")], namespace="kube-system")]) == {"admin": ["maps identities of the cloud to system:masters"]}

    def test_a_step_names_its_rights_and_their_rules(self) -> None:
        objects = [*NAMESPACES, *ACCOUNTS, *VICTIM, *bound([rule("get", "pods"), rule("create", "serviceaccounts/token")], namespace="ops")]
        policy = Policy.of_objects(objects, built_in=False)
        first, second = paths_of(policy, surroundings(objects, (), policy), [ALICE])[ALICE][ADMIN]
        (used,) = first.rights
        assert (str(used), str(used.grant)) == ("user:alice may create serviceaccounts/token in ops", "Role/ops/r rules[1] at r.yaml:2")
        assert [str(each.grant) for each in second.rights] == ["ClusterRole/root rules[0] at root.yaml:1"]


TOKENS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8)


class TestAgainstAFixpoint:
    @settings(max_examples=60, deadline=None)
    @given(TOKENS, st.sets(st.integers(0, 5), max_size=2), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=3))
    def test_who_reaches_the_cluster_and_how_soon(self, tokens: set[tuple[int, int]], admins: set[int], pods: set[tuple[int, int]]) -> None:
        """Accounts a/0 … a/5 in namespaces n0 … n5; edges are token rights by name, and pods in the namespace of another."""
        objects = [obj("ServiceAccount", f"a{index}", f"n{index}", api="v1") for index in range(6)]
        objects += [obj("Namespace", f"n{index}", api="v1", labels={"pod-security.kubernetes.io/enforce": "restricted"}) for index in range(6)]
        for index in admins:
            objects += bound([rule("*", "*", "*")], f"sa:n{index}/a{index}", name=f"admin{index}")
        for here, there in tokens:
            objects += bound([rule("create", "serviceaccounts/token", "", f"a{there}")], f"sa:n{here}/a{here}", f"n{there}", f"token{here}")
        for here, there in pods:
            objects += bound([rule("create", "pods")], f"sa:n{here}/a{here}", f"n{there}", f"pods{here}")
        policy = Policy.of_objects(objects, built_in=False)
        search = Escalation(policy, surroundings(objects, (), policy))
        distance = dict.fromkeys(admins, 1)
        for _ in range(6):
            for here, there in tokens | pods:
                if there in distance:
                    distance[here] = min(distance.get(here, 99), distance[there] + 1)
        for index in range(6):
            chains = search.paths(service_account(f"n{index}", f"a{index}"))
            assert (len(chains[ADMIN]) if ADMIN in chains else None) == distance.get(index)
            assert NODE not in chains

    @settings(max_examples=40, deadline=None)
    @given(TOKENS, st.sampled_from(["tokens", "pods", "exec"]))
    def test_a_further_right_never_closes_a_path(self, tokens: set[tuple[int, int]], kind: str) -> None:
        objects = [obj("ServiceAccount", f"a{index}", f"n{index}", api="v1") for index in range(6)] + bound([rule("*", "*", "*")], "sa:n0/a0", name="admin")
        for here, there in tokens:
            objects += bound([rule("create", "serviceaccounts/token")], f"sa:n{here}/a{here}", f"n{there}", f"token{here}")
        extra = {"tokens": rule("create", "serviceaccounts/token"), "pods": rule("create", "pods"), "exec": rule("create", "pods/exec")}[kind]
        before, after = ({key for key, _ in _goals(each)} for each in (objects, [*objects, *bound([extra], "sa:n3/a3", name="extra")]))
        assert before <= after


def _goals(objects: list[Object]) -> list[tuple[tuple[str, str], int]]:
    policy = Policy.of_objects(objects, built_in=False)
    found = paths_of(policy, surroundings(objects, (), policy))
    return [((str(subject), goal[0]), len(steps)) for subject, chains in found.items() for goal, steps in chains.items()]


class TestDangers:
    @pytest.mark.parametrize(
        ("given_rule", "expected"),
        [
            (Rule(("*",), ("*",), ("*",)), ["everything"]),
            (Rule(("*",), ("apps",), ("deployments",)), ["wildcard:verbs", "pods:create"]),
            (Rule(("get",), ("",), ("secrets",)), ["secrets:read"]),
            (Rule(("create", "get"), ("",), ("secrets",), ("one",)), ["secrets:read"]),
            (Rule(("deletecollection",), ("",), ("events",), ("one",)), []),
            (Rule(("create",), ("",), ("pods/*",)), ["wildcard:resources"]),
            (Rule(("create",), ("",), ("*/exec",)), ["wildcard:resources", "pods:exec"]),
            (Rule(("get",), urls=("*",)), ["wildcard:urls"]),
            (Rule(("get",), ("",), ("pods",)), []),
            (Rule(("update",), ("policies.kyverno.io",), ("policyexceptions",)), ["policies:except"]),
            (Rule(("list",), ("*",), ("pods",)), ["wildcard:groups"]),
        ],
    )
    def test_what_a_rule_grants(self, given_rule: Rule, expected: list[str]) -> None:
        assert list(dict.fromkeys(right.danger.id for right in rights_of(given_rule))) == expected

    @pytest.mark.parametrize(
        ("given_rule", "namespace", "severity"),
        [
            (Rule(("*",), ("*",), ("*",)), "*", "error"),
            (Rule(("*",), ("*",), ("*",)), "one", "warning"),
            (Rule(("escalate",), (GROUP,), ("clusterroles",), ("x",)), "*", "warning"),
            (Rule(("get",), ("",), ("nodes/proxy",)), "one", "note"),
            (Rule(("create",), ("bitnami.com",), ("sealedsecrets",)), "*", "note"),
        ],
    )
    def test_how_much_it_matters(self, given_rule: Rule, namespace: str, severity: str) -> None:
        assert severity_of(given_rule, namespace) == severity

    def test_every_danger_is_found_by_a_rule_of_its_own(self) -> None:
        for danger in DANGERS:
            for group, resource in danger.targets:
                verb = "create" if danger.id == "pods:create" else danger.verbs[-1]
                assert danger.id in [right.danger.id for right in rights_of(Rule((verb,), (group,), (resource,)))]
        assert len(BY_ID) == len({danger.says for danger in BY_ID.values()})


class TestSurroundings:
    @pytest.mark.parametrize(
        ("spec", "reaches"),
        [
            ({}, False),
            ({"hostPID": True}, True),
            ({"volumes": [{"hostPath": {"path": "/"}}]}, True),
            ({"initContainers": [{"securityContext": {"privileged": True}}]}, True),
            ({"containers": [{"securityContext": {"privileged": False}}, None], "volumes": [{"emptyDir": {}}, 1]}, False),
        ],
    )
    def test_which_pods_reach_their_node(self, spec: dict[str, Any], reaches: bool) -> None:
        assert reaches_node(spec) is reaches

    def test_every_namespace_has_its_default_account(self) -> None:
        around = surroundings(NAMESPACES + ACCOUNTS, (), Policy.of_objects([]))
        assert around.exists(service_account("dev", "default"))
        assert around.exists(service_account("kube-system", "coredns"))
        assert not around.exists(service_account("dev", "nobody"))
        assert Surroundings(running={"dev": (Running(ALICE, token=True, on_node=False),)}).admits_privileged("dev")
