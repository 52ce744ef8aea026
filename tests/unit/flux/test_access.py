"""What controllers lend to whoever may write their resources: as whom Flux applies, what it reads, whose token Prometheus sends."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from harness.engines.rbac.paths import ADMIN
from harness.engines.rbac.subjects import parse_subject
from harness.flux.access import Access, access_of
from harness.flux.plain import plain_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = "---\napiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"


def obj(api: str, kind: str, name: str, namespace: str = "", body: str = "") -> str:
    return HEAD.format(api=api, kind=kind, name=name, namespace=namespace or "''") + body


def controller(program: str, account: str, *arguments: str, namespace: str = "flux-system") -> str:
    body = f"spec:\n  selector: {{}}\n  template:\n    spec:\n      serviceAccountName: {account}\n      containers:\n"
    body += f"        - name: manager\n          image: ghcr.io/fluxcd/{program}:v1@sha256:0\n          args: [{', '.join(arguments)}]\n"
    return obj("apps/v1", "Deployment", program, namespace, body) + obj("v1", "ServiceAccount", account, namespace)


def may(who: str, verbs: str, resources: str, group: str = "''", namespace: str = "", name: str = "r") -> str:
    """A role of one rule and its binding."""
    subject = parse_subject(who)
    kind = "Role" if namespace else "ClusterRole"
    rule = f"rules:\n  - apiGroups: [{group}]\n    resources: [{resources}]\n    verbs: [{verbs}]\n"
    home = f"    namespace: {subject.namespace}\n" if subject.namespace else ""
    binding = f"roleRef:\n  kind: {kind}\n  name: {name}\nsubjects:\n  - kind: {subject.kind}\n    name: {subject.name}\n{home}"
    api = "rbac.authorization.k8s.io/v1"
    return obj(api, kind, name, namespace, rule) + obj(api, f"{kind}Binding", name, namespace, binding)


SHOP = obj("v1", "Namespace", "shop") + obj("v1", "ServiceAccount", "app", "shop")
ALL = "'*'"
CONTROLLER = "sa:flux-system/kustomize-controller"


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Access]:
    def make(text: str) -> Access:
        (tmp_path / "all.yaml").write_text(text, encoding="utf-8")
        return access_of(plain_world([tmp_path], today=date(2026, 11, 23)))

    return make


def lent(access: Access, danger: str, resource: str, namespace: str) -> list[str]:
    loans = [loan for loan in access.around.loans if (loan.danger, loan.resource, loan.namespace) == (danger, resource, namespace)]
    return ["reads" if loan.reads else str(loan.gain) for loan in loans]


class TestFlux:
    def test_a_controller_with_every_right_applies_as_anyone_and_as_itself(self, build: Callable[[str], Access]) -> None:
        access = build(SHOP + controller("kustomize-controller", "kustomize-controller") + may(CONTROLLER, ALL, ALL, ALL))
        assert lent(access, "flux:apply", "kustomizations", "shop") == ["sa:shop/app", "sa:shop/default", "reads", CONTROLLER]

    def test_a_default_account_takes_the_place_of_the_controller(self, build: Callable[[str], Access]) -> None:
        access = build(SHOP + controller("kustomize-controller", "kustomize-controller", "--default-service-account=default") + may(CONTROLLER, ALL, ALL, ALL))
        assert lent(access, "flux:apply", "kustomizations", "shop") == ["sa:shop/app", "sa:shop/default", "reads"]

    def test_a_controller_acts_only_as_those_it_may_impersonate(self, build: Callable[[str], Access]) -> None:
        locked = controller("helm-controller", "helm-controller", "--default-service-account=default")
        access = build(SHOP + locked + may("sa:flux-system/helm-controller", "impersonate", "serviceaccounts", namespace="shop"))
        assert lent(access, "flux:apply", "helmreleases", "shop") == ["sa:shop/app", "sa:shop/default"]
        assert lent(access, "flux:apply", "helmreleases", "flux-system") == []

    def test_a_controller_that_is_not_there_is_taken_as_installed_by_default(self, build: Callable[[str], Access]) -> None:
        access = build(SHOP + may("group:devs", "patch", "kustomizations", "kustomize.toolkit.fluxcd.io", "shop"))
        (step,) = access.search.paths(parse_subject("group:devs"))[ADMIN]
        assert step.gain == "has Flux apply objects; kustomize-controller is not among these objects, and is installed as cluster-admin"

    def test_a_source_lends_the_account_of_what_applies_it(self, build: Callable[[str], Access]) -> None:
        apply = "spec:\n  serviceAccountName: app\n  sourceRef:\n    kind: GitRepository\n    name: repo\n"
        free = "spec:\n  sourceRef:\n    kind: OCIRepository\n    name: charts\n    namespace: sources\n"
        text = SHOP + controller("kustomize-controller", "kustomize-controller") + may(CONTROLLER, ALL, ALL, ALL)
        text += obj("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "one", "shop", apply)
        text += obj("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "two", "shop", free)
        access = build(text)
        assert lent(access, "flux:sources", "gitrepositories", "shop") == ["sa:shop/app"]
        assert lent(access, "flux:sources", "ocirepositories", "sources") == [CONTROLLER]

    def test_an_operator_lends_itself(self, build: Callable[[str], Access]) -> None:
        access = build(SHOP + controller("flux-operator", "flux-operator"))
        assert lent(access, "flux:apply", "fluxinstances", "shop") == ["sa:flux-system/flux-operator"]
        assert lent(access, "flux:apply", "resourcesets", "shop") == ["sa:flux-system/flux-operator"]


class TestOthers:
    @pytest.mark.parametrize(
        ("spec", "given"),
        [
            ("  serviceMonitorNamespaceSelector: {}\n", ["sa:monitoring/prometheus"]),
            ("  serviceMonitorNamespaceSelector: {matchLabels: {scrape: 'yes'}}\n", []),
            ("", []),
            ("  serviceMonitorNamespaceSelector: {}\n  arbitraryFSAccessThroughSMs: {deny: true}\n", []),
        ],
        ids=["every-namespace", "labelled", "its-own", "denied"],
    )
    def test_prometheus_sends_its_token_to_what_a_monitor_names(self, build: Callable[[str], Access], spec: str, given: list[str]) -> None:
        access = build(SHOP + obj("monitoring.coreos.com/v1", "Prometheus", "main", "monitoring", f"spec:\n  serviceAccountName: prometheus\n{spec}"))
        assert lent(access, "monitoring:write", "servicemonitors", "shop") == given

    def test_vault_issues_tokens_of_the_accounts_it_may(self, build: Callable[[str], Access]) -> None:
        text = SHOP + controller("vault", "vault", namespace="vault") + may("sa:vault/vault", "create", "serviceaccounts/token", namespace="shop")
        assert lent(build(text), "vault:write", "vaultdynamicsecrets", "shop") == ["sa:shop/app", "sa:shop/default"]

    def test_kyverno_makes_objects_as_its_background_controller(self, build: Callable[[str], Access]) -> None:
        access = build(SHOP + controller("background-controller", "background", namespace="kyverno"))
        assert lent(access, "policies:write", "generatingpolicies", "") == ["sa:kyverno/background"]

    @pytest.mark.parametrize("spec", ["null", "1", "[]", "{sourceRef: 1, chartRef: [], serviceAccountName: {}}", "{arbitraryFSAccessThroughSMs: 1}"])
    def test_odd_shapes_lend_no_source(self, build: Callable[[str], Access], spec: str) -> None:
        text = SHOP + controller("kustomize-controller", "kustomize-controller")
        kinds = {"Kustomization": "kustomize.toolkit.fluxcd.io/v1", "HelmRelease": "helm.toolkit.fluxcd.io/v2", "Prometheus": "monitoring.coreos.com/v1"}
        for kind, api in kinds.items():
            text += obj(api, kind, "odd", "shop", f"spec: {spec}\n")
        assert {loan.danger for loan in build(text).around.loans} == {"flux:apply", "monitoring:write"}
