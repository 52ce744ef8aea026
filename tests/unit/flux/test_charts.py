from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.flux.archive import write_tar
from harness.flux.cache import Cache, digest
from harness.flux.charts import ChartRef, Charts, merge, resolve, version_differs
from harness.flux.packages import Package
from harness.model import Location, Problem
from harness.source.repository import Repository
from unit.flux.releases import TOOLS, Cluster, chart, release

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: http, namespace: apps}
spec: {url: https://charts.example.com}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: registry, namespace: apps}
spec: {type: oci, url: "oci://registry.example.com/charts/"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: here, namespace: flux-system}
spec: {url: "https://git.example.com/here"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: there, namespace: apps}
spec: {url: "https://git.example.com/there", ref: {tag: 3.2.1}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata: {name: ready, namespace: apps}
spec: {chart: web, version: 2.x, sourceRef: {kind: HelmRepository, name: http}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: pinned, namespace: apps}
spec: {url: "oci://registry.example.com/charts/web", ref: {digest: "sha256:abc"}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: open, namespace: apps}
spec: {url: "oci://registry.example.com/charts/web"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: ranged, namespace: apps}
spec:
  url: oci://registry.example.com/charts/web
  ref:
    tag: 1.0.0
    semver: 1.x
---
"""
HEAD = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: apps}\nspec:\n"


def resolved(spec: str) -> ChartRef | Problem:
    view = Cluster(SOURCES + HEAD + "".join(f"  {line}\n" for line in spec.splitlines()), this=("here",))
    return resolve(view.release, view)


@pytest.mark.parametrize(
    ("spec", "name", "version", "url"),
    [
        ("chart: {spec: {chart: web, version: 1.2.3, sourceRef: {kind: HelmRepository, name: http}}}", "web", "1.2.3", "https://charts.example.com"),
        ("chart: {spec: {chart: web, sourceRef: {kind: HelmRepository, name: http}}}", "web", "*", "https://charts.example.com"),
        (
            "chart: {spec: {chart: team/web, version: 1.x, sourceRef: {kind: HelmRepository, name: registry}}}",
            "web",
            "1.x",
            "oci://registry.example.com/charts/team/web",
        ),
        ("chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: there}}}", "web", "3.2.1", "https://git.example.com/there"),
        ("chartRef: {kind: HelmChart, name: ready}", "web", "2.x", "https://charts.example.com"),
        ("chartRef: {kind: OCIRepository, name: pinned}", "web", "", "oci://registry.example.com/charts/web"),
        ("chartRef: {kind: OCIRepository, name: open}", "web", "latest", "oci://registry.example.com/charts/web"),
        # A range counts before a tag.
        ("chartRef: {kind: OCIRepository, name: ranged, namespace: apps}", "web", "1.x", "oci://registry.example.com/charts/web"),
    ],
)
def test_references(spec: str, name: str, version: str, url: str) -> None:
    ref = resolved(spec)
    assert isinstance(ref, ChartRef)
    assert (ref.name, ref.version, ref.url, ref.path) == (name, version, url, None)


def test_a_chart_of_this_repository() -> None:
    ref = resolved(
        "chart:\n  spec:\n    chart: ./charts/web/\n    valuesFiles: [a.yaml, charts/web/b.yaml]\n"
        "    sourceRef: {kind: GitRepository, name: here, namespace: flux-system}"
    )
    assert isinstance(ref, ChartRef)
    assert (ref.name, ref.path, ref.values_files) == ("web", "charts/web", ("a.yaml", "charts/web/b.yaml"))


def test_the_location_is_the_line_that_chooses_the_version() -> None:
    ref = resolved("chartRef: {kind: OCIRepository, name: ranged}")
    assert isinstance(ref, ChartRef)
    line = SOURCES.splitlines().index("    semver: 1.x") + 1
    assert ref.location == Location("r.yaml", line)


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            "chartRef: {kind: OCIRepository, name: none}",
            "chart-source-missing",
            "spec.chartRef names OCIRepository apps/none, which is nowhere in this cluster",
        ),
        (
            "chart: {spec: {chart: web, sourceRef: {kind: HelmRepository, name: none}}}",
            "chart-source-missing",
            "the chart's source HelmRepository apps/none is nowhere in this cluster",
        ),
        (
            "chart: {spec: {chart: web, sourceRef: {kind: Nonsense, name: x}}}",
            "chart-reference",
            "the chart's reference names no chart or no kind of source that Flux knows",
        ),
        (
            "chart: {spec: {sourceRef: {kind: HelmRepository, name: http}}}",
            "chart-reference",
            "the chart's reference names no chart or no kind of source that Flux knows",
        ),
        ("interval: 1h", "chart-reference", "it has neither spec.chart nor spec.chartRef"),
    ],
)
def test_references_that_lead_nowhere(spec: str, code: str, message: str) -> None:
    problem = resolved(spec)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.subject, problem.message) == (code, "c/HelmRelease/apps/web", message)


def ref(name: str = "web", version: str = "1.0.0", url: str = "", path: str | None = None, **more: object) -> ChartRef:
    return ChartRef(name, version, "HelmRepository", url, Location("r.yaml", 3), "c/HelmRelease/apps/web", path, **more)  # type: ignore[arg-type]


def fetched(charts: Charts, wanted: ChartRef) -> str:
    found = charts.fetch(wanted)
    return f"{found.code}: {found.message}" if isinstance(found, Problem) else f"{found.chart.name} {found.chart.version}"


@pytest.mark.parametrize(
    ("packed", "version", "found"),
    [
        ("web-1.0.0.tgz", "1.0.0", True),
        ("web-v1.0.0.tgz", "1.0.0", True),
        ("web-1.0.0.tgz", "v1.0.0", True),
        ("web-1.0.0+a.tgz", "1.0.0_a", True),
        ("web-1.0.0.tgz", "1.0.1", False),
        ("web-1.9.0.tgz", "1.x", True),
        ("web-extra-1.0.0.tgz", "1.x", False),
    ],
)
def test_the_mirror_folder(tmp_path: Path, packed: str, version: str, found: bool) -> None:
    chart(tmp_path, "web", packed=packed)
    chart(tmp_path, "web", packed="web-0.1.0.tgz")
    assert (fetched(Charts(tmp_path, Cache(None), TOOLS), ref(version=version)) == "web 1.0.0") is found


def test_a_range_takes_the_highest_version_at_hand(tmp_path: Path) -> None:
    for version in ("1.2.0", "1.10.0", "2.0.0"):
        chart(tmp_path, "web", version)
    assert fetched(Charts(tmp_path, Cache(None), TOOLS), ref(version="1.x")) == "web 1.10.0"


def test_a_missing_chart_says_how_to_have_it(tmp_path: Path) -> None:
    charts = Charts(tmp_path / "nowhere", Cache(None), TOOLS)
    assert fetched(charts, ref()) == "chart-missing: chart web 1.0.0 is not at hand: put web-1.0.0.tgz into the chart folder, or lock it where it can be pulled"
    assert fetched(charts, ref(version="")) == (
        "chart-missing: chart web is pinned by digest only, so its version is not known: "
        "put web-VERSION.tgz into the chart folder, or lock it where it can be pulled"
    )


def test_the_same_missing_chart_is_a_problem_of_every_release(tmp_path: Path) -> None:
    charts = Charts(None, Cache(None), TOOLS)
    first = charts.fetch(ref())
    second = charts.fetch(ChartRef("web", "1.0.0", "HelmRepository", "", Location("other.yaml", 9), "c/HelmRelease/b/web"))
    assert isinstance(first, Problem)
    assert isinstance(second, Problem)
    assert (first.subject, second.subject, str(second.location)) == ("c/HelmRelease/apps/web", "c/HelmRelease/b/web", "other.yaml:9")


def test_a_damaged_package(tmp_path: Path) -> None:
    (tmp_path / "web-1.0.0.tgz").write_bytes(b"no archive")
    assert fetched(Charts(tmp_path, Cache(None), TOOLS), ref()) == (
        "chart-corrupt: chart web 1.0.0 is damaged: the package is no readable tar archive (truncated header)"
    )


def test_packages_that_were_pulled_before_are_in_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    url = "oci://registry.example.com/web"
    cache.put("package", digest("package", "web", "1.0.0", url), chart(tmp_path, "web").read_bytes())
    assert fetched(Charts(None, cache, TOOLS), ref(url=url)) == "web 1.0.0"
    assert fetched(Charts(None, cache, TOOLS), ref(url="oci://elsewhere.example.com/web")).startswith("chart-missing")


def test_pulling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = chart(tmp_path, "web")
    helm = tmp_path / "helm"
    helm.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/log\n[ "$6" = 1.0.0 ] || {{ echo "Error: not found" >&2; exit 1; }}\ncp {package} "$8"\n')
    helm.chmod(0o755)
    monkeypatch.setattr("harness.flux.tools.Tools.helm", helm)
    cache = Cache(tmp_path / "cache")
    assert fetched(Charts(None, cache, TOOLS, allow_network=True), ref(url="https://charts.example.com")) == "web 1.0.0"
    # A second run finds it in the cache, without the network.
    assert fetched(Charts(None, cache, TOOLS), ref(url="https://charts.example.com")) == "web 1.0.0"
    log = (tmp_path / "log").read_text().splitlines()
    assert len(log) == 1
    assert log[0].startswith("pull web --repo https://charts.example.com --version 1.0.0 --destination ")
    failed = fetched(Charts(None, cache, TOOLS, allow_network=True), ref(version="2.0.0", url="https://charts.example.com"))
    assert failed == "chart-unreachable: chart web 2.0.0 cannot be pulled from https://charts.example.com: not found"


# Charts in this repository


def tree(root: Path, **files: str) -> Repository:
    for path, text in files.items():
        target = root / path.replace("__", "/").replace("_yaml", ".yaml")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return Repository(root)


WEB = """\
name: web
version: 0.1.0
dependencies:
- {name: common, version: 1.x, repository: "https://charts.example.com"}
- {name: own, version: 1.x, repository: "file://../own"}
"""


def test_a_local_chart_gets_its_dependencies(tmp_path: Path) -> None:
    repository = tree(tmp_path / "repo", charts__web__Chart_yaml=WEB, charts__own__Chart_yaml="name: own\nversion: 1.0.0\n", other_yaml="")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    charts = Charts(mirror, Cache(None), TOOLS, repository=repository)
    assert fetched(charts, ref(path="charts/web")) == (
        "chart-missing: chart web 1.0.0 depends on another one: chart common 1.x is not at hand: "
        "put common-1.x.tgz into the chart folder, or lock it where it can be pulled"
    )
    chart(mirror, "common", "1.4.0")
    found = Charts(mirror, Cache(None), TOOLS, repository=repository).fetch(ref(path="charts/web"))
    assert isinstance(found, Package)
    assert sorted(found.files) == ["Chart.yaml", "charts/common/Chart.yaml", "charts/own/Chart.yaml"]
    assert sorted(path.relative_to(found.path).as_posix() for path in found.path.rglob("*.yaml")) == sorted(found.files)


def test_a_local_chart_that_is_not_there(tmp_path: Path) -> None:
    charts = Charts(None, Cache(None), TOOLS, repository=tree(tmp_path, a_yaml=""))
    assert fetched(charts, ref(path="charts/web")) == "chart-not-in-repository: chart web 1.0.0 is not in this repository: charts/web/Chart.yaml does not exist"


def test_names_of_dependencies_do_not_lead_out_of_the_chart(tmp_path: Path) -> None:
    text = "name: web\nversion: 0.1.0\ndependencies: [{name: ../../../evil, version: 1.x, repository: 'file://../own'}]\n"
    repository = tree(tmp_path / "repo", charts__web__Chart_yaml=text, charts__own__Chart_yaml="name: own\nversion: 1.0.0\n")
    found = Charts(None, Cache(None), TOOLS, repository=repository).fetch(ref(path="charts/web"))
    assert isinstance(found, Package)
    before = sorted(found.path.parent.iterdir())
    assert [path.name for path in found.path.rglob("*") if path.is_file()] == ["Chart.yaml"]
    assert sorted(found.path.parent.iterdir()) == before


def test_values_files_take_the_place_of_the_defaults(tmp_path: Path) -> None:
    repository = tree(
        tmp_path,
        charts__web__Chart_yaml="name: web\nversion: 0.1.0\n",
        charts__web__values_yaml="a: 1\nb: 1\n",
        one_yaml="c: {d: 1, e: 1}\n",
        two_yaml="c: {e: 2}\n",
    )
    charts = Charts(None, Cache(None), TOOLS, repository=repository)
    found = charts.fetch(ref(path="charts/web", values_files=("one.yaml", "two.yaml")))
    assert isinstance(found, Package)
    assert found.chart.values == {"c": {"d": 1, "e": 2}}
    assert fetched(charts, ref(path="charts/web", values_files=("none.yaml",))) == "chart-values-file: chart web 1.0.0 has no values file none.yaml"
    ignoring = charts.fetch(ref(path="charts/web", values_files=("charts/web/values.yaml", "none.yaml"), ignore_missing=True))
    assert isinstance(ignoring, Package)
    assert ignoring.chart.values == {"a": 1, "b": 1}


def test_values_files_of_a_package_are_inside_it(tmp_path: Path) -> None:
    chart(tmp_path, "web", values_yaml="a: 1", prod_yaml="a: 2")
    found = Charts(tmp_path, Cache(None), TOOLS).fetch(ref(values_files=("values.yaml", "prod.yaml")))
    assert isinstance(found, Package)
    assert found.chart.values == {"a": 2}


# Artifacts that are no charts


def test_artifacts_from_the_mirror_folder(tmp_path: Path) -> None:
    (tmp_path / "flux-v2.9.4.yaml").write_text("kind: A\n")
    (tmp_path / "apps-1.0.0.tgz").write_bytes(write_tar({"b.yaml": b"2", "a/a.yml": b"1", "README.md": b"no"}))
    (tmp_path / "bad-1.0.0.tgz").write_bytes(b"no archive")
    charts = Charts(tmp_path, Cache(None), TOOLS)
    assert charts.artifact("oci://ghcr.io/fluxcd/flux-manifests", "v2.9.4") == ["kind: A\n"]
    assert charts.artifact("oci://registry.example.com/team/apps", "1.0.0") == ["1", "2"]
    assert charts.artifact("oci://registry.example.com/bad", "1.0.0") == []
    assert charts.artifact("oci://registry.example.com/none", "1.0.0") == []
    assert charts.artifact("oci://registry.example.com/apps", "") == []


def test_merging_replaces_what_is_no_mapping() -> None:
    assert merge({"a": {"b": 1, "c": [1, 2]}, "d": {"x": 1}}, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}, "d": None}


@pytest.mark.parametrize(
    ("tag", "version", "differs"),
    [("1.0.0", "1.0.0", False), ("v1.0.0", "1.0.0", False), ("1.0.0", "1.0.1", True), ("main", "1.0.0", False), ("1.x", "1.0.1", False)],
)
def test_tags_must_be_the_charts_version(tag: str, version: str, differs: bool) -> None:
    view = Cluster(release(version=f'"{tag}"'))
    found = resolve(view.release, view)
    assert isinstance(found, ChartRef)
    assert version_differs(found, version) is differs
