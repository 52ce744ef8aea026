"""What is pushed: the working tree as its ``.sourceignore`` admits it, with where it comes from."""

from __future__ import annotations

import io
import subprocess
import tarfile
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
    commit = git(root, "rev-parse", "HEAD")
    branch = git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or "detached"
    changed = "-dirty" if git(root, "status", "--porcelain", "--untracked-files=normal") else ""
    seconds = git(root, "show", "--no-patch", "--format=%ct", "HEAD")
    created = datetime.fromtimestamp(int(seconds) if seconds.isdigit() else 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    source = git(root, "config", "--get", "remote.origin.url") or "working tree"
    return Provenance(source, f"{branch}@sha1:{commit}{changed}" if commit else f"{branch}@none", created)


def archived(root: Path, commit: str) -> dict[str, bytes]:
    """The files of a commit, by path. Empty when git cannot give them."""
    found: dict[str, bytes] = {}
    packed = _run(root, "archive", "--format=tar", commit)
    if packed:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for entry in tar:
                file = tar.extractfile(entry) if entry.isfile() else None
                if file is not None:
                    found[entry.name] = file.read()
    return found


def git(root: Path, *arguments: str) -> str:
    """What git prints in a repository; empty when there is no git, no repository, or it refuses."""
    return _run(root, *arguments).decode("utf-8", "replace").strip()


def _run(root: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
