"""From which commit an upgrade starts, and what it must not leave behind. Against a git repository that is made here."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.workspace import Options, Workspace
from harness.live.findings import NotEvaluatedError
from harness.live.ground.tree import archived
from harness.live.sync.upgrade import earlier, left_behind

if TYPE_CHECKING:
    from pathlib import Path

    from harness.flux.world import World

SYNC = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec:
  interval: 10m
  path: ./clusters/kind
  prune: true
  sourceRef: {kind: OCIRepository, name: flux-system}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "oci://kind-registry:5000/plimsoll", ref: {tag: kind}}
"""


class Git:
    """A repository with the branch main, whose files are written and committed at will."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self("init", "--quiet", "--initial-branch=main")

    def __call__(self, *arguments: str) -> str:
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *settings, *arguments], cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, path: str, text: str) -> str:
        self.write(path, text)
        self("add", "--all")
        self("commit", "--quiet", "--message", path)
        return self("rev-parse", "HEAD")

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root, Options())


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    made = Git(tmp_path)
    made.write(".sourceignore", "/*\n!/clusters\n!/policies\n**/README.md\n")
    made.write("clusters/kind/kustomization.yaml", "resources: [flux-system/sync.yaml]\n")
    made.commit("clusters/kind/flux-system/sync.yaml", SYNC)
    return made


def test_a_branch_starts_at_its_merge_base(repository: Git) -> None:
    base = repository.commit("clusters/a.yaml", "a: 1\n")
    repository("checkout", "--quiet", "-b", "topic")
    repository.commit("clusters/a.yaml", "a: 2\n")
    repository.commit("clusters/a.yaml", "a: 3\n")
    assert earlier(repository.workspace) == base


def test_changes_that_are_not_committed_count(repository: Git) -> None:
    base = repository.commit("clusters/a.yaml", "a: 1\n")
    repository.write("policies/new.yaml", "b: 1\n")
    assert earlier(repository.workspace) == base


def test_on_the_trunk_it_is_the_newest_that_differs_in_what_flux_applies(repository: Git) -> None:
    old = repository.commit("clusters/a.yaml", "a: 1\n")
    repository.commit("clusters/a.yaml", "a: 2\n")
    repository.commit("tests/x.py", "")
    repository.commit("clusters/README.md", "words\n")
    assert earlier(repository.workspace) == old


def test_a_wanted_commit_wins(repository: Git) -> None:
    wanted = repository.commit("tests/x.py", "")
    repository.commit("clusters/a.yaml", "a: 2\n")
    assert earlier(repository.workspace, "HEAD~1") == wanted


@pytest.mark.parametrize(("wanted", "why"), [("", "no earlier commit at hand"), ("v9", "--upgrade-from v9: there is no such commit")])
def test_nothing_to_start_from_is_not_evaluated(repository: Git, wanted: str, why: str) -> None:
    with pytest.raises(NotEvaluatedError, match=why):
        earlier(repository.workspace, wanted)


def test_without_git_it_is_not_evaluated(tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()
    with pytest.raises(NotEvaluatedError, match="there is no git history"):
        earlier(Workspace(tmp_path, Options()))


def test_files_of_a_commit(repository: Git) -> None:
    old = repository.commit("clusters/a.yaml", "a: 1\n")
    repository.commit("clusters/a.yaml", "a: 2\n")
    assert archived(repository.root, old)["clusters/a.yaml"] == b"a: 1\n"
    assert archived(repository.root, "nothing") == {}


@pytest.fixture
def world(repository: Git) -> World:
    workspace = repository.workspace
    return workspace.world(workspace.selected[0])


def labelled(kind: str, name: str, *, by: str = "flux-system", **metadata: Any) -> dict[str, Any]:
    labels = {"kustomize.toolkit.fluxcd.io/name": by, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "labels": labels, **metadata}}


def kustomization(name: str, *entries: str) -> dict[str, Any]:
    listed = [{"id": entry, "v": "v1"} for entry in entries]
    return {"kind": "Kustomization", "metadata": {"name": name, "namespace": "flux-system"}, "status": {"inventory": {"entries": listed}}}


def test_nothing_left_behind(world: World) -> None:
    there = kustomization("flux-system", "_system__reader_rbac.authorization.k8s.io_ClusterRole")
    assert left_behind(world, [there], [labelled("ClusterRole", "system:reader")]) == []


def test_what_nobody_lists_any_more_is_left_behind(world: World) -> None:
    there = [kustomization("flux-system"), kustomization("loki")]
    objects = [
        labelled("ClusterRole", "old"),
        labelled("ClusterRole", "gone", by="tempo"),
        labelled("ClusterRole", "goes", deletionTimestamp="2026-11-28T00:00:00Z"),
        labelled("ClusterRole", "owned", ownerReferences=[{"kind": "Pod"}]),
        labelled("Endpoints", "web"),
    ]
    assert left_behind(world, there, objects) == [
        "Kustomization/flux-system/loki: no commit asks for it any more",
        "ClusterRole/old: made by Kustomization flux-system/flux-system, which does not list it",
        "ClusterRole/gone: made by Kustomization flux-system/tempo, which does not list it",
    ]
