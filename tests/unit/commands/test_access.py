"""The commands about access on plain manifests and on clusters: what they print, in both formats, and their exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Fleet, Said

RBAC = """\
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: shop
rules:
  - apiGroups: ['']
    resources: [secrets]
    verbs: [get]
  - apiGroups: [apps]
    resources: [deployments/scale]
    verbs: [patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader
subjects:
  - kind: ServiceAccount
    name: web
"""
PROXY = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubelets
rules:
  - apiGroups: ['']
    resources: [nodes/proxy]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: kubelets
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: kubelets
subjects:
  - kind: Group
    name: devs
"""


@pytest.fixture
def asks(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    """``access …`` on the manifests."""
    (tmp_path / "rbac.yaml").write_text(RBAC, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(RBAC + PROXY, encoding="utf-8")

    def run(*words: str, on: str = "rbac.yaml") -> Said:
        return command("access", *words, "--manifests", str(tmp_path / on), "--repo", str(tmp_path))

    return run


class TestCan:
    def test_yes_with_the_binding_and_the_rule(self, asks: Callable[..., Said]) -> None:
        said = asks("can", "sa:shop/web", "get", "secrets", "-n", "shop", "--name", "x")
        assert said.out == (
            "yes: sa:shop/web may get secrets x in shop\n"
            "  by RoleBinding/shop/reader for sa:shop/web at rbac.yaml:27\n"
            "  rule Role/shop/reader rules[0] at rbac.yaml:20: get: secrets\n"
        )
        assert (said.code, said.err) == (0, "")

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("sa:shop/web", "get", "secrets"), "no: sa:shop/web may not get secrets everywhere"),
            (("sa:shop/web", "patch", "deployments.apps/scale", "-n", "shop"), "yes: sa:shop/web may patch deployments.apps/scale in shop"),
            (("sa:shop/web", "patch", "deployments", "--subresource", "scale", "-n", "shop"), "yes: sa:shop/web may patch deployments.apps/scale in shop"),
            (("system:serviceaccount:shop:web", "patch", "deployments.apps", "-n", "shop"), "no: sa:shop/web may not patch deployments.apps in shop"),
            (("user:bob", "get", "/healthz"), "yes: user:bob may get /healthz"),
            (("user:bob", "get", "nodes", "--group", "system:masters"), "yes: user:bob may get nodes everywhere"),
        ],
    )
    def test_the_answer_and_its_exit_code(self, asks: Callable[..., Said], words: tuple[str, ...], line: str) -> None:
        said = asks("can", *words)
        assert said.out.split("\n")[0] == line
        assert said.code == (0 if line.startswith("yes") else 1)

    def test_json(self, asks: Callable[..., Said]) -> None:
        said = asks("can", "sa:shop/web", "get", "secrets", "-n", "shop", "--format", "json")
        answer = json.loads(said.out)
        assert answer["allowed"] is True
        assert answer["held"]["grant"] == {"role": "Role/shop/reader", "rule": 0, "at": "rbac.yaml:20", "text": "get: secrets"}

    @pytest.mark.parametrize(
        ("words", "warning"),
        [
            (("user:bob", "create", "pods", "--name", "x", "-n", "shop"), "create has no name when it is authorized: x is left out"),
            (("user:bob", "get", "nodes", "-n", "shop"), "nodes are outside of namespaces: shop is left out"),
            (("user:bob", "get", "deployments"), "deployments is in the API group apps: taken as deployments.apps"),
            (("user:bob", "get", "secret"), "secret: taken as secrets"),
            (("user:bob", "get", "NetworkPolicy"), "networkpolicies is in the API group networking.k8s.io: taken as networkpolicies.networking.k8s.io"),
            (("user:bob", "get", "sts"), "sts: taken as statefulsets"),
            (("user:bob", "get", "deployment.apps"), "no API server has deployment.apps: only a rule with a wildcard allows it"),
        ],
    )
    def test_what_is_asked_is_put_as_the_api_server_would(self, asks: Callable[..., Said], words: tuple[str, ...], warning: str) -> None:
        assert warning in asks("can", *words).err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("sa:web", "get", "pods"), "error: sa:web: write a service account as sa:namespace/name\n"),
            (("user:bob", "get", ".apps"), "error: '.apps' is no resource"),
        ],
    )
    def test_what_cannot_be_asked(self, asks: Callable[..., Said], words: tuple[str, ...], message: str) -> None:
        said = asks("can", *words)
        assert said.code == 2
        assert said.err.startswith(message)


class TestWhoCan:
    def test_everyone_with_the_rule(self, asks: Callable[..., Said]) -> None:
        said = asks("who-can", "get", "secrets", "-n", "shop")
        assert [line for line in said.out.split("\n") if not line.startswith(" ")][:4] == [
            "5 may get secrets in shop",
            "group:system:masters",
            "sa:kube-system/generic-garbage-collector",
            "sa:kube-system/namespace-controller",
        ]
        assert "sa:shop/web in shop\n" in said.out
        assert said.code == 0

    def test_in_any_namespace_and_json(self, asks: Callable[..., Said]) -> None:
        everywhere = {entry["who"] for entry in json.loads(asks("who-can", "get", "secrets", "--format", "json").out)}
        anywhere = {entry["who"] for entry in json.loads(asks("who-can", "get", "secrets", "-A", "--format", "json").out)}
        assert anywhere - everywhere == {"sa:shop/web", "sa:kube-system/bootstrap-signer", "sa:kube-system/token-cleaner"}


class TestList:
    def test_every_rule_with_its_place(self, asks: Callable[..., Said]) -> None:
        assert asks("list", "sa:shop/web").out == (
            "sa:shop/web: 2 rules\n"
            "in shop\n"
            "  get: secrets\n"
            "    Role/shop/reader rules[0] at rbac.yaml:20 by RoleBinding/shop/reader\n"
            "    ! secrets:read: reads Secrets, which list and watch show whole\n"
            "  patch: deployments.apps/scale\n"
            "    Role/shop/reader rules[1] at rbac.yaml:23 by RoleBinding/shop/reader\n"
        )

    def test_in_the_smallest_pieces(self, asks: Callable[..., Said]) -> None:
        said = asks("list", "sa:shop/web", "--atoms")
        assert said.out == "sa:shop/web get secrets in shop\nsa:shop/web patch deployments.apps/scale in shop\n"
        assert [atom["resource"] for atom in json.loads(asks("list", "sa:shop/web", "--atoms", "--format", "json").out)] == ["secrets", "deployments/scale"]

    def test_narrowed_and_widened(self, asks: Callable[..., Said]) -> None:
        assert asks("list", "sa:shop/web", "-n", "other").out == "sa:shop/web: 0 rules\n"
        assert "selfsubjectreviews.authentication.k8s.io" in asks("list", "sa:shop/web", "--everyone").out
        assert len(json.loads(asks("list", "user:bob", "--group", "devs", "--format", "json", on="more.yaml").out)["rights"]) == 1


class TestPaths:
    def test_a_chain_names_right_rule_and_gain(self, asks: Callable[..., Said]) -> None:
        said = asks("paths", on="more.yaml")
        assert said.out == (
            "group:devs -> node\n"
            "  1. runs commands in every pod of every node through the kubelets\n"
            "     group:devs may get nodes/proxy\n"
            "       ClusterRole/kubelets rules[0] at more.yaml:45\n"
            "1 chains from 1 of 8 subjects\n"
        )
        assert said.code == 1

    def test_nobody_from_a_place_without_a_way(self, asks: Callable[..., Said]) -> None:
        assert (asks("paths").code, asks("paths", "sa:shop/web").out) == (0, "0 chains from 0 of 1 subjects\n")

    def test_json_and_one_goal(self, asks: Callable[..., Said]) -> None:
        (chain,) = json.loads(asks("paths", "group:devs", "--format", "json", on="more.yaml").out)
        assert (chain["goal"], chain["steps"][0]["rights"][0]["role"]) == ("node", "ClusterRole/kubelets")
        assert json.loads(asks("paths", "--to", "cluster-admin", "--format", "json", on="more.yaml").out) == []


BINDER = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: binder
  namespace: shop
rules:
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [rolebindings]
    verbs: [create]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    resourceNames: [view]
    verbs: [bind]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: binder
  namespace: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: binder
subjects:
  - kind: ServiceAccount
    name: web
"""


class TestGrant:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("sa:shop/web", "Role/reader", "-n", "shop"), "yes: sa:shop/web may bind Role/shop/reader: it has every right of the role there itself"),
            (("sa:shop/web", "ClusterRole/view", "-n", "shop"), "yes: sa:shop/web may bind ClusterRole/view: it has the verb bind on the role"),
            (("sa:shop/web", "ClusterRole/view"), "no: sa:shop/web may not bind ClusterRole/view: it may not create clusterrolebindings"),
            (("group:system:masters", "ClusterRole/view"), "yes: group:system:masters may bind ClusterRole/view: members of system:masters bypass every check"),
            (
                ("sa:shop/web", "ClusterRole/system:auth-delegator", "-n", "shop"),
                "no: sa:shop/web may not bind ClusterRole/system:auth-delegator: it lacks 2 of the rights of the role there, and the verb bind",
            ),
        ],
    )
    def test_the_verdict_and_its_reason(self, tmp_path: Path, asks: Callable[..., Said], words: tuple[str, ...], line: str) -> None:
        (tmp_path / "binder.yaml").write_text(RBAC + BINDER, encoding="utf-8")
        said = asks("grant", *words, on="binder.yaml")
        assert said.out.split("\n")[0] == line
        assert said.code == (0 if line.startswith("yes") else 1)

    def test_what_is_not_covered(self, tmp_path: Path, asks: Callable[..., Said]) -> None:
        (tmp_path / "binder.yaml").write_text(RBAC + BINDER, encoding="utf-8")
        said = asks("grant", "sa:shop/web", "ClusterRole/system:auth-delegator", "-n", "shop", "--format", "json", on="binder.yaml")
        assert json.loads(said.out)["missing"] == ["create: tokenreviews.authentication.k8s.io", "create: subjectaccessreviews.authorization.k8s.io"]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("view",), "error: view: write a role as ClusterRole/name or Role/name\n"),
            (("Role/reader",), "error: a Role is bound in a namespace: say which with --namespace\n"),
            (("ClusterRole/gone",), "error: there is no ClusterRole/gone\n"),
        ],
    )
    def test_what_is_no_role(self, asks: Callable[..., Said], words: tuple[str, ...], message: str) -> None:
        said = asks("grant", "user:bob", *words)
        assert (said.code, said.err) == (2, message)


class TestMatrix:
    def test_a_line_for_each_resource(self, asks: Callable[..., Said]) -> None:
        assert asks("matrix", "sa:shop/web", "-n", "shop").out == (
            "sa:shop/web            get list watch create update patch delete deletecollection\n"
            "deployments.apps/scale  -   -     -     -      -      y     -           -\n"
            "secrets                 y   -     -     -      -      -     -           -\n"
        )
        table = json.loads(asks("matrix", "sa:shop/web", "-n", "shop", "--all", "--format", "json").out)["resources"]
        assert set(table["pods"].values()) == {"-"}
        assert "nodes" not in table

    def test_names_allow_some_only(self, tmp_path: Path, asks: Callable[..., Said]) -> None:
        (tmp_path / "named.yaml").write_text(RBAC.replace("    verbs: [get]", "    resourceNames: [x]\n    verbs: [get, create]"), encoding="utf-8")
        cells = json.loads(asks("matrix", "sa:shop/web", "-n", "shop", "--format", "json", on="named.yaml").out)["resources"]["secrets"]
        assert (cells["get"], cells["create"]) == ("n", "-")


class TestDangers:
    def test_every_dangerous_right_with_its_rule(self, asks: Callable[..., Said]) -> None:
        said = asks("dangers", on="more.yaml")
        assert said.out == (
            "group:devs\n"
            "  warning nodes:proxy: get nodes/proxy everywhere\n"
            "          ClusterRole/kubelets rules[0] at more.yaml:45\n"
            "sa:shop/web\n"
            "  warning secrets:read: get secrets in shop\n"
            "          Role/shop/reader rules[0] at more.yaml:20\n"
            "2 dangerous rights of 2 subjects\n"
        )
        assert said.code == 1

    def test_of_one_subject_and_json(self, asks: Callable[..., Said]) -> None:
        (entry,) = json.loads(asks("dangers", "sa:shop/web", "--format", "json").out)
        assert (entry["danger"], entry["binding"], entry["grant"]["at"]) == ("secrets:read", "RoleBinding/shop/reader", "rbac.yaml:20")
        assert asks("dangers", "user:bob").code == 0


class TestDiff:
    def test_what_was_gained_with_its_severity(self, tmp_path: Path, asks: Callable[..., Said], command: Callable[..., Said]) -> None:
        one, two = str(tmp_path / "rbac.yaml"), str(tmp_path / "more.yaml")
        said = command("access", "diff", one, two, "--repo", str(tmp_path))
        assert said.out == (
            "gained warning group:devs get nodes/proxy in every namespace  (ClusterRole/kubelets rules[0] at more.yaml:45 by ClusterRoleBinding/kubelets)\n"
            "1 rights gained\n"
        )
        assert said.code == 1
        back = command("access", "diff", two, one, "--lost", "--format", "json", "--repo", str(tmp_path))
        assert [(entry["change"], entry["resource"]) for entry in json.loads(back.out)] == [("lost", "nodes/proxy")]
        assert back.code == 0

    def test_clusters_by_name(self, fleet: Fleet) -> None:
        assert fleet("access", "diff", "one", "one").out == "0 rights gained\n"
        assert fleet("access", "diff", "one", "two").err == "error: there is no cluster two: there are one\n"


def test_what_the_node_authorizer_decides_is_not_evaluated(asks: Callable[..., Said]) -> None:
    assert "not evaluated: the Node authorizer" in asks("can", "user:system:node:one", "get", "secrets", "-n", "shop").err


def test_what_another_authorizer_grants_is_not_evaluated(tmp_path: Path, asks: Callable[..., Said]) -> None:
    role = "---\napiVersion: authorization.openshift.io/v1\nkind: Role\nmetadata:\n  name: r\n  namespace: shop\n"
    (tmp_path / "shift.yaml").write_text(RBAC + role, encoding="utf-8")
    said = asks("list", "sa:shop/web", on="shift.yaml")
    assert said.err == ("not evaluated: 1 objects of authorization.openshift.io: OpenShift's own roles are turned into RBAC by a controller in the cluster\n")


def test_a_cluster_without_rbac_says_so(fleet: Fleet) -> None:
    said = fleet("access", "can", "user:bob", "get", "secrets")
    assert said.code == 1
    assert "not evaluated: there is no Role and no binding in what was given; only the API server's own are known" in said.err
