"""The addresses that git knows a repository by, in one spelling."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

#: The branches that a source without this checkout's own branch is taken to mean: what forges name a default branch.
_USUAL = frozenset({"main", "master"})


class Checkout(NamedTuple):
    """What git says of a work tree: the addresses of its remotes, and the branches whose content it may stand for."""

    remotes: frozenset[str] = frozenset()
    branches: frozenset[str] = _USUAL


@lru_cache(maxsize=8)
def checkout(root: Path) -> Checkout:
    """The checkout at a folder. Nothing is known of a folder that is no git work tree, or where git is not at hand."""
    if not (root / ".git").exists():
        return Checkout()
    listing = _git(root, "config", "--get-regexp", r"^remote\..*\.url$")
    remotes = frozenset(address(line.split(maxsplit=1)[1]) for line in listing.splitlines() if " " in line)
    current = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD").strip()
    default = _git(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").strip().removeprefix("origin/")
    return Checkout(remotes, _USUAL | {name for name in (current, default) if name})


def _git(root: Path, *arguments: str) -> str:
    try:
        command = ["git", "-C", str(root), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def address(url: str) -> str:
    """A Git or OCI address without what varies between spellings of the same one: scheme, user, port of the scheme, ``.git``, the scp form."""
    scheme, _, rest = url.strip().lower().rpartition("://")
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if ":" in host:
        name, _, port = host.partition(":")
        if not scheme and not (port.isdigit() and slash):
            # The scp form: git@host:owner/name, where the colon ends the host.
            host, slash, path = name, "/", f"{port}{slash}{path}"
        elif port == {"ssh": "22", "https": "443", "http": "80"}.get(scheme):
            host = name
    return re.sub(r"/+", "/", f"{host}{slash}{path}").removesuffix("/").removesuffix(".git")
