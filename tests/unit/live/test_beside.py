"""The registry beside the cluster: whose container it is, and what is pushed into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.flux.workspace import Options, Workspace
from harness.live.ground.beside import Container, host_of, publish
from harness.live.ground.cluster import CannotRunError
from harness.live.ground.oci import FLUX_CONTENT, HELM_CONTENT, Registry, digest_of
from harness.live.ground.overlay import OverlayError
from harness.live.ground.tree import admitted, provenance
from unit.flux.releases import chart
from unit.live.fakes import FakeRegistry, Programs

if TYPE_CHECKING:
    from collections.abc import Callable

INSPECT = ("docker", "inspect", "--type=container", '--format={{index .Config.Labels "plimsoll.cluster"}}', "kind-registry")
RUN = (
    *("docker", "run", "--detach", "--name=kind-registry", "--network=kind", "--label=plimsoll.cluster=one"),
    *("--publish=127.0.0.1::5000", "registry:3.0.0"),
)
PORT = ("docker", "port", "kind-registry", "5000/tcp")
REMOVE = ("docker", "rm", "--force", "--volumes", "kind-registry")


def container(programs: Programs) -> Container:
    return Container("docker", "kind-registry", "one", runner=programs)


def test_it_is_started_once() -> None:
    programs = Programs().on(*INSPECT, fails="Error: No such container: kind-registry").on(*RUN).on(*PORT, says="127.0.0.1:32768\n")
    assert container(programs).up() == "127.0.0.1:32768"


def test_its_own_is_used_again() -> None:
    programs = Programs().on(*INSPECT, says="one\n").on("docker", "start", "kind-registry").on(*PORT, says="127.0.0.1:1\n[::1]:1\n")
    assert container(programs).up() == "127.0.0.1:1"


@pytest.mark.parametrize(("owner", "said"), [("other\n", "for other"), ("\n", "for something else")])
def test_somebody_elses_is_left_alone(owner: str, said: str) -> None:
    programs = Programs().on(*INSPECT, says=owner)
    with pytest.raises(CannotRunError, match=f"kind-registry is there already, {said}: remove it first"):
        container(programs).up()
    container(programs).down()
    assert set(programs.asked) == {INSPECT}


def test_it_is_removed_with_its_content() -> None:
    programs = Programs().on(*INSPECT, says="one").on(*REMOVE)
    container(programs).down()
    assert programs.asked[-1] == REMOVE


def test_nothing_to_remove() -> None:
    programs = Programs().on(*INSPECT, fails="Error: No such object: kind-registry")
    container(programs).down()
    assert programs.asked == [INSPECT]


def test_no_port() -> None:
    programs = Programs().on(*INSPECT, says="one").on("docker", "start", "kind-registry").on(*PORT, says="")
    with pytest.raises(CannotRunError, match="publishes no port"):
        container(programs).up()


SYNC = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "URL", insecure: true, ref: {tag: kind}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 10m, prune: true, path: ./clusters/one, sourceRef: {kind: OCIRepository, name: flux-system}}
"""
APPS = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: web, namespace: apps}
spec: {interval: 1m, url: "oci://quay.io/acme/web", ref: {tag: 1.0.0}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: acme, namespace: apps}
spec: {interval: 1m, url: "https://charts.acme.example/stable"}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: apps}
spec: {interval: 1m, chartRef: {kind: OCIRepository, name: web}}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cache, namespace: apps}
spec: {interval: 1m, chart: {spec: {chart: web, version: 1.0.0, sourceRef: {kind: HelmRepository, name: acme}}}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Workspace]:
    def build(url: str = "oci://kind-registry:5000/fleet", *, charts: bool = True) -> Workspace:
        folder = tmp_path / "repository" / "clusters" / "one"
        folder.mkdir(parents=True)
        (folder / "sync.yaml").write_text(SYNC.replace("URL", url))
        (folder / "apps.yaml").write_text(APPS)
        (tmp_path / "repository" / "notes.txt").write_text("not for Flux")
        (tmp_path / "repository" / ".sourceignore").write_text("/*\n!/clusters/\n")
        mirror = tmp_path / "mirror"
        mirror.mkdir()
        if charts:
            chart(mirror, "web", templates__web_yaml="")
        return Workspace(tmp_path / "repository", Options(charts=mirror, cache=False))

    return build


def test_tree_and_charts_are_pushed(repository: Callable[..., Workspace]) -> None:
    workspace = repository()
    world = workspace.world(workspace.selected[0])
    fake = FakeRegistry()
    registry = Registry("127.0.0.1:5000", fake)
    found = publish(workspace, world, registry, host_of(world))
    assert (found.host, found.tree.repository, found.tree.tag) == ("kind-registry:5000", "fleet", "kind")
    assert registry.manifest("fleet", "kind")["layers"][0]["mediaType"] == FLUX_CONTENT
    package = digest_of((workspace.root.parent / "mirror" / "web-1.0.0.tgz").read_bytes())
    assert found.images["one/OCIRepository/apps/web"].content == package
    assert registry.manifest("quay.io/acme/web", "1.0.0")["layers"] == [
        {"mediaType": HELM_CONTENT, "digest": package, "size": len(fake.blobs["quay.io/acme/web", package])}
    ]
    assert found.repositories == {"one/HelmRepository/apps/acme": "charts.acme.example/stable"}
    assert registry.manifest("charts.acme.example/stable/web", "1.0.0")["layers"][0]["digest"] == package
    assert found.charts == {"one/HelmRepository/apps/acme": {package}}


def test_only_what_sourceignore_admits_is_pushed(repository: Callable[..., Workspace]) -> None:
    assert sorted(admitted(repository().repository)) == ["clusters/one/apps.yaml", "clusters/one/sync.yaml"]


def test_a_chart_that_is_not_at_hand_is_named(repository: Callable[..., Workspace]) -> None:
    workspace = repository(charts=False)
    world = workspace.world(workspace.selected[0])
    with pytest.raises(CannotRunError, match=r"chart web 1\.0\.0 is not at hand.*--charts"):
        publish(workspace, world, Registry("127.0.0.1:5000", FakeRegistry()), "kind-registry:5000")


@pytest.mark.parametrize("url", ["oci://ghcr.io/acme/fleet", "oci://kind-registry:5001/fleet", "https://kind-registry:5000/fleet"])
def test_a_cluster_that_is_not_built_from_a_registry_beside_it(repository: Callable[..., Workspace], url: str) -> None:
    workspace = repository(url)
    with pytest.raises(OverlayError, match="no registry beside it"):
        host_of(workspace.world(workspace.selected[0]))


def test_provenance_without_git(tmp_path: Path) -> None:
    found = provenance(tmp_path / "nowhere")
    assert found == ("working tree", "detached@none", "1970-01-01T00:00:00Z")


def test_provenance_of_this_repository_is_a_commit() -> None:
    found = provenance(Path(__file__).parents[3])
    assert "@sha1:" in found.revision or found.revision.endswith("@none")
    assert found.created.endswith("Z")
