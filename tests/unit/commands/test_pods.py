"""``pods check`` and ``pods list``: on plain manifests of any kind, and on a cluster of a small repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Fleet, Said

BARE = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bare\n  namespace: web\nspec:\n  containers:\n    - name: web\n      image: web:1\n"
CONFINED = (
    "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: tidy\n  namespace: web\nspec:\n  schedule: '@daily'\n  jobTemplate:\n    spec:\n      template:\n"
    "        spec:\n          securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n          containers:\n            - name: tidy\n"
    "              image: web:1\n              securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n"
)
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels:\n    pod-security.kubernetes.io/enforce: {level}\n"
ROLLOUT = BARE.replace("v1\nkind: Pod", "argoproj.io/v1alpha1\nkind: Rollout").replace("spec:\n", "spec:\n  template: {spec: {containers: []}}\n")
SYSCTL = BARE.replace("  containers:", "  securityContext:\n    sysctls:\n      - name: net.ipv4.tcp_rmem\n  containers:")


@pytest.fixture
def look(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    """A member of ``pods`` on documents."""

    def run(member: str, *documents: str, options: tuple[str, ...] = ()) -> Said:
        (tmp_path / "all.yaml").write_text("---\n".join(documents), encoding="utf-8")
        return command("pods", member, "--repo", str(tmp_path), "--manifests", str(tmp_path / "all.yaml"), *options)

    return run


class TestCheck:
    def test_says_what_the_server_would_say_and_where(self, look: Callable[..., Said]) -> None:
        said = look("check", BARE, CONFINED, options=("--level", "restricted", "--version", "1.31"))
        assert said.code == 1
        assert said.out.splitlines() == [
            "manifests/Pod/web/bare at all.yaml:1",
            '  violates PodSecurity "restricted:v1.31": allowPrivilegeEscalation != false (container "web" must set '
            'securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "web" must set '
            'securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true), '
            'seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
            "  allowPrivilegeEscalation != false: spec.containers[0].securityContext.allowPrivilegeEscalation (all.yaml:8)",
            "  unrestricted capabilities: spec.containers[0].securityContext.capabilities.drop (all.yaml:8)",
            "  runAsNonRoot != true: spec.containers[0].securityContext.runAsNonRoot (all.yaml:8)",
            "  seccompProfile: spec.containers[0].securityContext.seccompProfile (all.yaml:8)",
            "2 pods: 1 admitted, 1 refused",
        ]

    def test_without_a_level_the_namespaces_decide(self, look: Callable[..., Said]) -> None:
        assert look("check", BARE).code == 0
        assert look("check", BARE, NAMESPACE.format(level="baseline")).code == 0
        said = look("check", BARE, NAMESPACE.format(level="restricted"))
        assert said.code == 1
        assert 'violates PodSecurity "restricted:latest"' in said.out

    @pytest.mark.parametrize(("version", "code"), [("1.31", 1), ("v1.32", 0), ("1.37", 0), ("latest", 0)])
    def test_versions(self, look: Callable[..., Said], version: str, code: int) -> None:
        assert look("check", SYSCTL, options=("--level", "baseline", "--version", version)).code == code

    def test_the_latest_version_is_the_clusters(self, look: Callable[..., Said]) -> None:
        assert look("check", SYSCTL, options=("--level", "baseline", "--kubernetes-version", "1.30")).code == 1

    def test_json(self, look: Callable[..., Said]) -> None:
        said = look("check", BARE.replace("spec:\n", "spec:\n  hostPID: true\n"), options=("--level", "baseline", "--format", "json"))
        found: dict[str, Any] = json.loads(said.out)
        assert said.code == 1
        assert found["pods"][0] == {
            "object": "manifests/Pod/web/bare",
            "kind": "Pod",
            "namespace": "web",
            "name": "bare",
            "at": "all.yaml:1",
            "level": "baseline",
            "version": "latest",
            "allowed": False,
            "exempt": "",
            "notEvaluated": "",
            "message": 'violates PodSecurity "baseline:latest": host namespaces (hostPID=true)',
            "violations": [
                {"check": "hostNamespaces", "reason": "host namespaces", "detail": "hostPID=true", "at": [{"field": "spec.hostPID", "line": "all.yaml:7"}]}
            ],
        }

    def test_exemptions_and_namespaces(self, look: Callable[..., Said]) -> None:
        said = look("check", BARE, options=("--level", "restricted", "--exempt-namespace", "web"))
        assert (said.code, said.out) == (0, "1 pods: 0 admitted, 0 refused, 1 exempt\n")
        assert look("check", BARE, CONFINED.replace("namespace: web", "namespace: ops"), options=("--level", "restricted", "--namespace", "ops")).code == 0

    def test_the_configuration_of_the_api_server(self, look: Callable[..., Said], tmp_path: Path) -> None:
        file = tmp_path / "admission"
        text = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: restricted, warn: baseline}\n"
        file.write_text(text, encoding="utf-8")
        assert look("check", BARE, options=("--admission", str(file))).code == 1
        assert look("check", BARE, options=("--admission", str(file), "--mode", "warn")).code == 0
        file.write_text(text + "exemptions: {namespaces: [web]}\n", encoding="utf-8")
        assert look("check", BARE, options=("--admission", str(file))).out == "1 pods: 0 admitted, 0 refused, 1 exempt\n"
        file.write_text(text.replace("restricted", "strict"), encoding="utf-8")
        said = look("check", BARE, options=("--admission", str(file)))
        assert said.code == 2
        assert "defaults.enforce: strict: must be one of privileged, baseline, restricted" in said.err

    def test_a_pod_that_cannot_be_read_is_not_admitted(self, look: Callable[..., Said]) -> None:
        said = look("check", BARE.replace("spec:\n", "spec:\n  hostPID: 'yes'\n"), options=("--level", "baseline"))
        assert said.code == 2
        assert "  not evaluated: spec.hostPID is not true or false" in said.out

    def test_pods_of_unknown_kinds_are_named(self, look: Callable[..., Said]) -> None:
        said = look("check", CONFINED, ROLLOUT, options=("--level", "restricted"))
        assert said.code == 0
        assert "not evaluated: manifests/Rollout/web/bare: spec.template: a pod template of a kind that only its operator knows" in said.err

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--version", "1.31"), "--version needs --level"),
            (("--level", "baseline", "--version", "1.x"), "1.x is no version of the policies"),
            (("--level", "strict"), "invalid choice: 'strict'"),
        ],
    )
    def test_what_is_not_understood(self, look: Callable[..., Said], options: tuple[str, ...], message: str) -> None:
        said = look("check", BARE, options=options)
        assert said.code == 2
        assert message in said.err

    def test_nothing_to_look_at_is_no_pass(self, look: Callable[..., Said]) -> None:
        said = look("check", NAMESPACE.format(level="baseline"))
        assert (said.code, said.err) == (2, "error: there is no pod, and nothing that makes one, in what was looked at\n")

    def test_a_cluster(self, fleet: Fleet) -> None:
        fleet.write({"apps/configmap.yaml": CONFINED})
        assert fleet("pods", "check", "--cluster", "one").out == "1 pods: 1 admitted, 0 refused\n"


class TestList:
    def test_text(self, look: Callable[..., Said]) -> None:
        said = look("list", BARE, CONFINED, NAMESPACE.format(level="restricted"))
        assert said.code == 1
        assert [line.split() for line in said.out.splitlines()] == [
            ["namespace", "enforce", "audit", "warn", "pods", "refused", "passes"],
            ["web", "restricted:latest", "privileged:latest", "restricted:latest", "2", "1", "baseline"],
        ]

    def test_json_of_a_cluster(self, fleet: Fleet) -> None:
        said = fleet("pods", "list", "--format", "json")
        assert said.code == 0
        assert [(row["namespace"], row["pods"], row["passes"]) for row in json.loads(said.out)["namespaces"]] == [("web", 0, "")]

    def test_nothing_to_look_at(self, look: Callable[..., Said]) -> None:
        assert look("list", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: b\n").code == 2
