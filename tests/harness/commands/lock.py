"""Render every chart again and write what it renders to, reduced to facts, to tests/lock/.

The charts come from the mirror folder (--charts), the cache, or, with --pull, their registries. Read the diff: it is what the clusters will notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.common import CommandError, clusters_of, note, out
from harness.flux.lock import Lock
from harness.flux.workspace import LOCK_FOLDER

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "rewrite the lock from fresh renders"
_REMEDY = "no chart at hand? --charts DIR or --pull"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a fresh render differs from the lock")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    roots = clusters_of(workspace)
    folder = workspace.root / LOCK_FOLDER
    if not options.check:
        folder.mkdir(parents=True, exist_ok=True)
    worlds = []
    for root in roots:
        note(f"rendering {root.name} ...")
        worlds.append(workspace.world(root))
    if options.check:
        stale = [problem for world in worlds for problem in world.problems if problem.code.startswith("lock-")]
        for problem in stale:
            out(f"{problem.subject}: {problem.message}")
        unseen = [str(rendered.release.id) for world in worlds for rendered in world.releases.values() if rendered.source != "render"]
        unseen += workspace.artifacts.unseen
        if not stale and unseen:
            raise CommandError(f"not rendered, so not compared with the lock: {', '.join(unseen)} ({_REMEDY})")
        return 1 if stale else 0
    written = Lock(folder).write(worlds)
    changed = [*written.changed, *workspace.artifacts.write()]
    for name in changed:
        out(f"rewritten  {LOCK_FOLDER}/{name}")
    for name in written.removed:
        out(f"removed    {LOCK_FOLDER}/{name}")
    out(f"{len(changed)} rewritten, {len(written.removed)} removed, {len(written.unchanged)} unchanged")
    failed = [*written.failed, *workspace.artifacts.unseen]
    if failed:
        raise CommandError(f"not rendered, so their lock is as it was: {', '.join(failed)} ({_REMEDY})")
    return 0
