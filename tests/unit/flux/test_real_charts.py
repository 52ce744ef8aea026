"""The charts of the platform, with the fewest values that render: what is special about each of them works."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.cache import Cache
from harness.flux.charts import Charts
from harness.flux.helm import HelmRenderer
from harness.flux.lock import text_of
from harness.flux.packages import Package
from unit.flux.releases import TOOLS, Cluster, bodies, release

if TYPE_CHECKING:
    from harness.flux.rendered import Rendered

FOLDER = Path(os.environ.get("PLIMSOLL_CHARTS", "/nonexistent"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="real charts are absent: set PLIMSOLL_CHARTS to a folder of <name>-<version>.tgz"),
]
LOKI = """\
loki:
  storage: {type: filesystem}
  schemaConfig: {configs: [{from: "2024-04-01", store: tsdb, object_store: filesystem, schema: v13, index: {prefix: i_, period: 24h}}]}
deploymentMode: Monolithic
read: {replicas: 0}
write: {replicas: 0}
backend: {replicas: 0}
singleBinary: {replicas: 1}
"""
#: Chart → the values it cannot do without.
CHARTS = {
    "alloy": "",
    "cert-manager": "crds: {enabled: true}",
    "flux-operator": "",
    "grafana": "",
    "kube-prometheus-stack": "",
    "kyverno": "",
    "loki": LOKI,
    "metallb": "",
    "nginx-ingress": "",
    "opentelemetry-collector": "mode: deployment\nimage: {repository: otel/opentelemetry-collector-k8s}",
    "promtail": "",
    "sealed-secrets": "",
    "tempo": "",
    "vault": "",
    "vault-secrets-operator": "",
}
RENDERED: dict[str, Rendered] = {}


@pytest.fixture(scope="module")
def renderer() -> HelmRenderer:
    cache = Cache(None)
    return HelmRenderer(Charts(FOLDER, cache, TOOLS), cache, TOOLS, None)


def rendered(renderer: HelmRenderer, name: str, values: str | None = None, spec: str = "") -> Rendered:
    key = f"{name} {values} {spec}"
    if key not in RENDERED:
        versions = sorted(path.name for path in FOLDER.glob(f"{name}-[v0-9]*.tgz"))
        if not versions:
            pytest.skip(f"real charts are absent: no {name} in PLIMSOLL_CHARTS")
        version = versions[-1].removeprefix(f"{name}-").removesuffix(".tgz")
        view = Cluster(release("x", chart=name, version=version, values=CHARTS[name] if values is None else values, spec=spec), version="1.36.4")
        RENDERED[key] = renderer.render(view.release, view)
    return RENDERED[key]


@pytest.mark.parametrize("name", CHARTS)
def test_it_renders(renderer: HelmRenderer, name: str) -> None:
    result = rendered(renderer, name)
    assert [f"{item.code}: {item.message}" for item in result.problems] == []
    assert result.source == "render"
    assert len(result.objects) >= 3
    assert result.unknown_values == ()
    assert all(item.kind and item.name for item in (*result.objects, *result.hooks))


@pytest.mark.parametrize("name", ["grafana", "sealed-secrets", "kube-prometheus-stack"])
def test_it_renders_the_same_every_time(name: str) -> None:
    texts = []
    for _ in range(2):
        cache = Cache(None)
        result = rendered(HelmRenderer(Charts(FOLDER, cache, TOOLS), cache, TOOLS, None), name, spec="timeout: 5m" if not texts else "timeout: 6m")
        assert result.outcome is not None
        texts.append(text_of(result.outcome, result.inputs, result.values.values)[0])
    assert texts[0] == texts[1]


def crds(result: Rendered) -> int:
    return sum(1 for item in result.objects if item.kind == "CustomResourceDefinition")


@pytest.mark.parametrize(
    ("name", "count"),
    [("cert-manager", 6), ("kube-prometheus-stack", 10), ("kyverno", 20), ("metallb", 8), ("nginx-ingress", 10), ("vault-secrets-operator", 10)],
)
def test_its_crds_are_there(renderer: HelmRenderer, name: str, count: int) -> None:
    assert crds(rendered(renderer, name)) >= count


def test_crds_that_a_sub_chart_brings_go_with_it(renderer: HelmRenderer) -> None:
    assert crds(rendered(renderer, "kube-prometheus-stack", "crds: {enabled: false}")) == 0


def test_a_schema_that_refers_to_the_network(renderer: HelmRenderer) -> None:
    result = rendered(renderer, "nginx-ingress")
    assert result.chart is not None
    assert result.chart.schema_unread
    assert any(item.what == "the values schema of chart nginx-ingress" for item in result.not_evaluated)


def test_a_random_password_is_said_to_be_unknown(renderer: HelmRenderer) -> None:
    found = [(item.subject, item.what) for item in rendered(renderer, "grafana").not_evaluated]
    assert ("c/Secret/apps/x-grafana", "the value of data.admin-password") in found


def test_what_its_templates_demand_is_said(renderer: HelmRenderer) -> None:
    (problem,) = rendered(renderer, "loki", "").problems
    assert problem.code == "helm-render"
    assert "Please define loki.storage.bucketNames.chunks" in problem.message
    (problem,) = rendered(renderer, "opentelemetry-collector", "mode: deployment").problems
    assert "'image.repository' must be set" in problem.message


def test_test_hooks_are_dropped_and_others_kept(renderer: HelmRenderer) -> None:
    result = rendered(renderer, "kyverno")
    assert result.hooks
    assert not any("test" in str(item.annotations.get("helm.sh/hook")) for item in result.hooks)
    assert len(rendered(renderer, "kyverno", spec="test: {enable: true}").hooks) > len(result.hooks)


def test_glued_separators_and_values_of_odd_types(renderer: HelmRenderer) -> None:
    # cert-manager writes `---# Permission to …`; an enumeration of kube-prometheus-stack's CRDs holds a plain `=`.
    assert sum(1 for item in rendered(renderer, "cert-manager").objects if item.kind == "ClusterRole") >= 10
    found: Any = bodies(rendered(renderer, "kube-prometheus-stack").objects)["CustomResourceDefinition/alertmanagerconfigs.monitoring.coreos.com"]
    assert '"="' in str(found).replace("'", '"')


def test_a_mistyped_value_is_found(renderer: HelmRenderer) -> None:
    result = rendered(renderer, "sealed-secrets", "replicaCont: 2\nmetrics: {serviceMonitor: {enabld: true}}")
    assert result.unknown_values == (("metrics", "serviceMonitor", "enabld"), ("replicaCont",))


def test_what_is_taken_past_helm_changes_nothing(renderer: HelmRenderer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: rendered(renderer, name) for name in ("kyverno", "cert-manager", "metallb")}
    monkeypatch.setattr("harness.flux.packages.lift", lambda text: (text, {}))
    cache = Cache(None)
    plain = HelmRenderer(Charts(FOLDER, cache, TOOLS), cache, TOOLS, None)
    for name, before in found.items():
        RENDERED.pop(f"{name} None ")
        assert bodies(rendered(plain, name).objects) == bodies(before.objects)


def test_every_package_is_read_without_running_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.flux.tools.subprocess.Popen", None)
    packages = sorted(FOLDER.glob("*.tgz"))
    assert packages
    for path in packages:
        package = Package(Cache(None), tmp_path, archive=path, data=path.read_bytes())
        assert package.chart.missing == (), path.name
        assert package.questions.api_versions is not None, path.name
