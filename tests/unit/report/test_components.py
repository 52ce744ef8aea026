"""The table of clusters/README.md says what runs where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.report.components import BEGIN, END, MarkersError, components, readme, table
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
KS = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: {name}\n"
FILES = {
    "clusters/base/infrastructure/loki/kustomization.yaml": f"{KUSTOMIZATION}resources:\n  - ks.yaml\n",
    "clusters/base/infrastructure/loki/ks.yaml": KS.format(name="loki") + "---\n" + KS.format(name="loki-config"),
    "clusters/base/infrastructure/loki/controllers/ocirepository.yaml": (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata:\n  name: loki\nspec:\n  url: oci://x/loki\n  ref:\n    tag: 18.11.0\n"
    ),
    "clusters/base/infrastructure/loki/controllers/helmrelease.yaml": (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: loki\nspec:\n  chartRef:\n    kind: OCIRepository\n    name: loki\n"
    ),
    "clusters/base/infrastructure/vault/kustomization.yaml": f"{KUSTOMIZATION}resources:\n  - ks.yaml\n",
    "clusters/base/infrastructure/vault/ks.yaml": KS.format(name="vault"),
    "clusters/base/infrastructure/vault/controllers/helmrelease.yaml": (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: v}\nspec:\n  chart:\n    spec:\n      chart: vault\n      version: 0.34.1\n"
    ),
    "clusters/base/tenants/tenant-a/kustomization.yaml": f"{KUSTOMIZATION}resources:\n  - ks.yaml\n",
    "clusters/base/tenants/tenant-a/ks.yaml": KS.format(name="tenant-a"),
    "clusters/kind/kustomization.yaml": f"{KUSTOMIZATION}resources:\n  - ../base/infrastructure/loki\n  - ../base/tenants/tenant-a\n",
    "clusters/production/kustomization.yaml": (
        f"{KUSTOMIZATION}resources:\n  - ../base/infrastructure/loki\n  - ../base/infrastructure/vault\npatches:\n  - path: patches/loki-config.yaml\n"
    ),
    "clusters/production/patches/loki-config.yaml": KS.format(name="loki-config"),
    "clusters/production/patches/vault.yaml": KS.format(name="vault"),
}
CLUSTERS = {"kind": "clusters/kind", "production": "clusters/production"}
TABLE = """\
| component | installs | Kustomizations | kind | production |
|---|---|---|---|---|
| [loki](base/infrastructure/loki/) | loki 18.11.0 | loki<br>loki-config | yes | patched |
| [vault](base/infrastructure/vault/) | vault 0.34.1 | vault | no | yes |
| [tenant-a](base/tenants/tenant-a/) | own manifests | tenant-a | yes | no |"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    for name, text in FILES.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return Repository(tmp_path)


def test_the_table_follows_the_lists_and_the_patches_in_force(repository: Repository) -> None:
    assert table(repository, CLUSTERS) == TABLE


def test_a_component_in_no_cluster_is_still_listed(repository: Repository) -> None:
    assert [item.clusters for item in components(repository, {})] == [{}, {}, {}]


def test_only_what_is_between_the_markers_is_rewritten(repository: Repository) -> None:
    (repository.root / "clusters/README.md").write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", encoding="utf-8")
    fresh = Repository(repository.root)
    assert readme(fresh, CLUSTERS) == f"# Mine\n\n{BEGIN}\n\n{TABLE}\n\n{END}\n\nAfter.\n"


def test_writing_twice_changes_nothing(repository: Repository) -> None:
    (repository.root / "clusters/README.md").write_text(readme(repository, CLUSTERS), encoding="utf-8")
    fresh = Repository(repository.root)
    assert readme(fresh, CLUSTERS) == fresh.text("clusters/README.md")


def test_a_document_without_markers_is_refused(repository: Repository) -> None:
    (repository.root / "clusters/README.md").write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(MarkersError, match=r"clusters/README\.md: the table stands between the lines"):
        readme(Repository(repository.root), CLUSTERS)
