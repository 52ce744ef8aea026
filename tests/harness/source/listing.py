"""Which files a repository has: what git would commit, else what is on the disk, with symlinks followed inside the root."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.model import Location, Problem
from harness.source.paths import parent

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds git may take to list a work tree.
_GIT_TIMEOUT: Final = 60

#: Directories nested deeper than this are not a repository but an accident.
_MAX_DEPTH: Final = 100

#: Files beyond which a symlinked tree is not expanded further.
_MAX_FILES: Final = 1_000_000


@dataclass(slots=True)
class Listing:
    """``files`` maps each path to the file on disk that holds its content; ``directories`` are all their parents and the root ("")."""

    files: dict[str, Path] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def listing(root: Path) -> Listing:
    """Lists a repository. Files that git ignores are not part of it: a cluster would not get them either."""
    result = Listing()
    real_root = Path(os.path.realpath(root))
    names = _git_files(root)
    entries = _walk(root, "", result) if names is None else names
    for path in entries:
        _add(result, real_root, root / path, path, ())
    for path in result.files:
        directory = parent(path)
        while directory not in result.directories:
            result.directories.add(directory)
            directory = parent(directory)
    result.directories.add("")
    return result


def _git_files(root: Path) -> list[str] | None:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=_GIT_TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode != 0:
        return None
    names = {os.fsdecode(name).rstrip("/") for name in done.stdout.split(b"\0") if name}
    return sorted(names)


def _walk(root: Path, under: str, result: Listing, depth: int = 0) -> Iterator[str]:
    """Regular files and symlinks below a directory, without descending into symlinks."""
    if depth > _MAX_DEPTH:
        result.problems.append(_problem("file-too-deep", under, f"directories are nested deeper than {_MAX_DEPTH} levels"))
        return
    try:
        entries = sorted(os.scandir(root / under), key=lambda entry: entry.name)
    except OSError as error:
        result.problems.append(_problem("file-unreadable", under, f"the directory cannot be read: {error.strerror}"))
        return
    for entry in entries:
        path = f"{under}/{entry.name}" if under else entry.name
        if entry.name == ".git":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, result, depth + 1)
        else:
            yield path


def _add(result: Listing, real_root: Path, disk: Path, path: str, followed: tuple[str, ...]) -> None:
    try:
        mode = os.lstat(disk).st_mode
    except OSError:
        return  # deleted from the work tree, still in the index
    if stat.S_ISREG(mode):
        result.files[path] = disk
    elif stat.S_ISLNK(mode):
        _follow(result, real_root, disk, path, followed)
    elif stat.S_ISDIR(mode):
        # A submodule, or another repository inside this one: git lists it by name only.
        for name in _walk(disk, "", result):
            if len(result.files) < _MAX_FILES:
                _add(result, real_root, disk / name, f"{path}/{name}", followed)


def _follow(result: Listing, real_root: Path, disk: Path, path: str, followed: tuple[str, ...]) -> None:
    try:
        target = os.path.realpath(disk, strict=True)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            result.problems.append(_problem("file-missing", path, f"the symlink points to {_shown(disk)}, which does not exist"))
        else:
            result.problems.append(_problem("file-symlink-loop", path, f"the symlink points to {_shown(disk)}, which leads back to itself"))
        return
    if target != str(real_root) and not target.startswith(f"{real_root}{os.sep}"):
        result.problems.append(_problem("file-outside-repository", path, f"the symlink points to {_shown(disk)}, outside the repository"))
        return
    if Path(target).is_file():
        result.files[path] = Path(target)
        return
    if not Path(target).is_dir():
        return
    here = os.path.realpath(disk.parent)
    if target in followed or here == target or here.startswith(f"{target}{os.sep}"):
        result.problems.append(_problem("file-symlink-loop", path, f"the symlink points to {_shown(disk)}, a directory that contains it"))
        return
    for name in _walk(Path(target), "", result):
        if len(result.files) < _MAX_FILES:
            _add(result, real_root, Path(target) / name, f"{path}/{name}", (*followed, target))


def _shown(disk: Path) -> str:
    try:
        return str(disk.readlink())
    except OSError:
        return "another place"


def _problem(code: str, path: str, message: str) -> Problem:
    return Problem(code, path or ".", Location(path or "."), message)
