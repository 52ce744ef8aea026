"""Clusters are found where repositories of different habits keep them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from harness.flux.discovery import discover, manifests, normalise
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path


def kustomization(name: str, path: str, source: str = "flux-system") -> str:
    return dedent(f"""\
        apiVersion: kustomize.toolkit.fluxcd.io/v1
        kind: Kustomization
        metadata: {{name: {name}, namespace: flux-system}}
        spec: {{interval: 1h, prune: true, path: {path}, sourceRef: {{kind: GitRepository, name: {source}}}}}
        """)


@pytest.fixture
def repo(tmp_path: Path):
    def make(files: dict[str, str]) -> Repository:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return Repository(tmp_path)

    return make


def found(repository: Repository) -> list[tuple[str, str, str]]:
    return [(root.name, root.path, root.found_by) for root in discover(repository)]


def test_bootstrap_sync_is_a_root(repo) -> None:
    repository = repo(
        {
            "clusters/prod/flux-system/gotk-sync.yaml": kustomization("flux-system", "./clusters/prod"),
            "clusters/prod/apps.yaml": kustomization("apps", "./apps"),
            "apps/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
        }
    )
    assert found(repository) == [("prod", "clusters/prod", "sync Kustomization")]


def test_sync_that_its_own_kustomization_file_leaves_out_is_no_root(repo) -> None:
    repository = repo(
        {
            "clusters/prod/sync.yaml": kustomization("flux-system", "./clusters/prod"),
            "clusters/prod/kustomization.yaml": "resources: [apps.yaml]\n",
            "clusters/prod/apps.yaml": kustomization("apps", "./apps"),
            "apps/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
        }
    )
    # The sync builds the folder but not itself; nothing else builds it, so its folder is where the cluster starts.
    assert found(repository) == [("prod", "clusters/prod", "folder of Kustomizations")]


def test_vendor_artifact_built_from_its_root_is_no_root(repo) -> None:
    repository = repo(
        {
            "clusters/a/sync.yaml": kustomization("flux-system", "./clusters/a"),
            "clusters/a/flux.yaml": kustomization("flux", "./", source="flux-manifests"),
        }
    )
    assert found(repository) == [("a", "clusters/a", "sync Kustomization")]


def test_flux_instance_and_its_chart_values_name_a_root(repo) -> None:
    instance = "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\nspec: {sync: {path: clusters/one}}\n"
    release = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: flux-instance}\n"
        "spec: {values: {instance: {sync: {path: kubernetes/two/flux}}}}\n"
    )
    assert found(repo({"bootstrap/flux.yaml": instance, "bootstrap/two.yaml": release})) == [
        ("one", "clusters/one", "FluxInstance"),
        ("two", "kubernetes/two/flux", "FluxInstance"),
    ]


def test_without_a_sync_the_folders_of_unbuilt_kustomizations_are_roots(repo) -> None:
    repository = repo(
        {
            "clusters/staging/apps.yaml": kustomization("apps", "./apps/staging"),
            "clusters/production/apps.yaml": kustomization("apps", "./apps/production"),
            "apps/staging/extra.yaml": kustomization("extra", "./extra"),
            "apps/production/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
        }
    )
    assert found(repository) == [
        ("production", "clusters/production", "folder of Kustomizations"),
        ("staging", "clusters/staging", "folder of Kustomizations"),
    ]


def test_equal_last_folders_are_told_apart(repo) -> None:
    files = {f"{region}/prod/sync.yaml": kustomization("flux-system", f"./{region}/prod") for region in ("eu", "us")}
    assert [name for name, _, _ in found(repo(files))] == ["eu-prod", "us-prod"]


def test_what_sourceignore_leaves_out_is_not_seen(repo) -> None:
    repository = repo({".sourceignore": "/*\n!/clusters/\n", "clusters/a.yaml": "a: 1\n", "tests/b.yaml": "b: 1\n"})
    assert manifests(repository) == ("clusters/a.yaml",)


def test_repository_without_flux_has_no_cluster(repo) -> None:
    assert found(repo({"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "broken.yaml": "a: [\n"})) == []


@pytest.mark.parametrize(
    ("path", "normal"),
    [("./clusters/a/", "clusters/a"), ("", ""), (None, ""), ("./", ""), ("/clusters/a", "clusters/a"), ("../../etc", "etc"), ("a/./b/../c", "a/c")],
)
def test_paths_stay_in_the_repository(path: str | None, normal: str) -> None:
    assert normalise(path) == normal
