"""The way from an earlier state of the repository to the working tree, in the running cluster: which state, its files, and what must be gone afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import KUSTOMIZATION
from harness.flux.sourceignore import SourceIgnore
from harness.flux.workspace import Options, Workspace
from harness.live.bringup import Platform
from harness.live.findings import NotEvaluatedError
from harness.live.ground.tree import archived, git
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World

#: What the working tree is compared with: the branch that it will be merged into.
_TRUNKS: Final = ("origin/main", "origin/HEAD", "main")
#: Commits that are looked at.
_LOOKED_BACK: Final = 50
_ENDPOINTS: Final = "Endpoints"
#: What Flux applies lies in these folders.
_PRODUCT: Final = ("clusters", "policies")


def earlier(workspace: Workspace, wanted: str = "") -> str:
    """The commit to upgrade from: the one that is wanted, or the merge base with the trunk; where that has the same product files, the newest that has not.

    Raises:
        NotEvaluatedError: there is no git history, no such commit, or none with other product files.
    """
    root, ignore = workspace.root, SourceIgnore(workspace.repository)

    def differs(commit: str) -> bool:
        """Whether the working tree holds something else for Flux than a commit."""
        changed = git(root, "diff", "--name-only", commit, "--", *_PRODUCT).splitlines()
        new = git(root, "ls-files", "--others", "--exclude-standard", "--", *_PRODUCT).splitlines()
        return any(ignore.admits(path) for path in (*changed, *new))

    if wanted:
        found = git(root, "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
        if not found:
            raise NotEvaluatedError("upgrade", "live proof", f"--upgrade-from {wanted}: there is no such commit")
        return found
    bases = (git(root, "merge-base", "HEAD", trunk) for trunk in _TRUNKS)
    start = next(filter(None, bases), "") or git(root, "rev-parse", "HEAD")
    if not start:
        raise NotEvaluatedError("upgrade", "live proof", "there is no git history, so there is nothing to upgrade from")
    if differs(start):
        return start
    for commit in git(root, "rev-list", "--first-parent", f"--max-count={_LOOKED_BACK}", start, "--", *_PRODUCT).split():
        parent = git(root, "rev-parse", "--verify", "--quiet", f"{commit}^")
        if parent and differs(parent):
            return parent
    raise NotEvaluatedError("upgrade", "live proof", "no earlier commit at hand has other product files (a shallow clone has one commit only)")


@contextmanager
def before(platform: Platform, commit: str, options: Options) -> Iterator[Platform]:
    """The same cluster as a platform of an earlier commit, which lies in a folder of its own.

    Raises:
        NotEvaluatedError: the commit has no such cluster.
    """
    with TemporaryDirectory(prefix="plimsoll-before-") as folder:
        for path, content in archived(platform.workspace.root, commit).items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        workspace = Workspace(Path(folder), options)
        name = platform.world.cluster.name
        root = next((item for item in workspace.clusters if item.name == name), None)
        if root is None:
            raise NotEvaluatedError("upgrade", "live proof", f"commit {commit[:12]} has no cluster {name}")
        yield Platform(platform.cluster, workspace.world(root), workspace, journal=platform.journal)


def left_behind(world: World, kustomizations: list[dict[str, Any]], labelled: list[dict[str, Any]]) -> list[str]:
    """What carries the label of a Kustomization that did not apply it, or that is not there any more: it was forgotten, not removed.

    ``kustomizations`` and ``labelled`` are objects of the cluster: all Kustomizations, and all that carry kustomize-controller's labels. Only what a
    Kustomization of the world, past or present, made is judged: ``status.inventory`` says what it made last. Endpoints are made by the control plane, which
    gives them the labels of their Service.
    """
    owned: dict[tuple[str, str], set[tuple[str, str, str, str]]] = {}
    for item in kustomizations:
        metadata = mapping(item.get("metadata"))
        entries = items(mapping(mapping(item.get("status")).get("inventory")).get("entries"))
        owned[text(metadata.get("namespace")), text(metadata.get("name"))] = {_entry(text(mapping(entry).get("id"))) for entry in entries}
    expected = {(item.namespace, item.name) for item in world.of(KUSTOMIZATION)}
    sync = world.cluster.sync
    if sync is not None:
        expected.add((sync.namespace, sync.name))
    found = [f"Kustomization/{space}/{name}: no commit asks for it any more" for space, name in sorted(owned.keys() - expected)]
    for item in labelled:
        metadata = mapping(item.get("metadata"))
        labels = mapping(metadata.get("labels"))
        owner = (text(labels.get("kustomize.toolkit.fluxcd.io/namespace")), text(labels.get("kustomize.toolkit.fluxcd.io/name")))
        if metadata.get("ownerReferences") or metadata.get("deletionTimestamp") or not owner[1] or item.get("kind") == _ENDPOINTS:
            continue
        group = text(item.get("apiVersion")).rpartition("/")[0]
        key = (text(metadata.get("namespace")), text(metadata.get("name")), group, text(item.get("kind")))
        if key not in owned.get(owner, set()):
            found.append(f"{key[3]}/{'/'.join(part for part in key[:2] if part)}: made by Kustomization {'/'.join(owner)}, which does not list it")
    return found


def _entry(identifier: str) -> tuple[str, str, str, str]:
    """An inventory's id (``namespace_name_group_kind``; colons of names are written as two underscores) as namespace, name, group and kind."""
    namespace, _, rest = identifier.partition("_")
    rest, _, kind = rest.rpartition("_")
    name, _, group = rest.rpartition("_")
    return namespace, name.replace("__", ":"), group, kind
