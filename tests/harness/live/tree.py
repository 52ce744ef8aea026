"""What is pushed: the working tree as its ``.sourceignore`` admits it, with where it comes from."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from harness.flux.sourceignore import SourceIgnore

if TYPE_CHECKING:
    from pathlib import Path

    from harness.source.repository import Repository


class Provenance(NamedTuple):
    """Where a tree comes from, as ``flux push artifact`` is told: an address, a revision, and when (RFC 3339)."""

    source: str
    revision: str
    created: str


def admitted(repository: Repository) -> dict[str, bytes]:
    """The files of a repository's working tree that enter its artifact, by path."""
    ignore = SourceIgnore(repository)
    return {path: repository.read(path) for path in repository.files() if ignore.admits(path)}


def provenance(root: Path) -> Provenance:
    """What git says of a working tree. The time is the commit's, so that the same tree gives the same artifact; changes on top of it are said."""
    commit = _git(root, "rev-parse", "HEAD")
    branch = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or "detached"
    changed = "-dirty" if _git(root, "status", "--porcelain", "--untracked-files=normal") else ""
    seconds = _git(root, "show", "--no-patch", "--format=%ct", "HEAD")
    created = datetime.fromtimestamp(int(seconds) if seconds.isdigit() else 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    source = _git(root, "config", "--get", "remote.origin.url") or "working tree"
    return Provenance(source, f"{branch}@sha1:{commit}{changed}" if commit else f"{branch}@none", created)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
