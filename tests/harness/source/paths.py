"""Paths that manifests give, made relative to the repository's root."""

from __future__ import annotations

import posixpath


def normalise(path: str) -> str | None:
    """A path relative to the root in its shortest form, the root being the empty text. None when it leaves the root or is absolute."""
    if path.startswith("/") or "\x00" in path:
        return None
    short = posixpath.normpath(path) if path else "."
    if short == "..":
        return None
    if short.startswith("../"):
        return None
    return "" if short == "." else short


def join(directory: str, reference: str) -> str | None:
    """A reference as it stands in a file of ``directory``, relative to the root; None when it leaves the root or is absolute."""
    if reference.startswith("/"):
        return None
    return normalise(f"{directory}/{reference}" if directory else reference)


def confine(path: str) -> str:
    """A path read as if the root were the root of the file system: ``..`` cannot leave it and a leading slash means nothing.

    Source: kustomize-controller joins ``spec.path`` with filepath-securejoin.
    """
    short = posixpath.normpath("/" + path.replace("\x00", ""))
    return short.lstrip("/")


def relative(path: str, start: str) -> str:
    """``path`` as a file of the directory ``start`` would write it."""
    return posixpath.relpath("/" + path, "/" + start)


def parent(path: str) -> str:
    """The directory of a path; the root's parent is the root."""
    return posixpath.dirname(path)


def name(path: str) -> str:
    """The last part of a path."""
    return posixpath.basename(path)
