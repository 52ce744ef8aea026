"""Tags that publishers move from one image to another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from harness.engines.images.reference import Image

#: Words that name whatever is newest of its kind.
_WORDS: Final = frozenset(
    {
        "latest",
        "stable",
        "edge",
        "nightly",
        "main",
        "master",
        "trunk",
        "head",
        "dev",
        "devel",
        "develop",
        "development",
        "snapshot",
        "canary",
        "rolling",
        "current",
        "lts",
        "mainline",
        "testing",
        "unstable",
        "next",
        "beta",
        "alpha",
        "prod",
        "production",
        "staging",
        "release",
        "daily",
        "weekly",
        "preview",
        "experimental",
    }
)
_LINE: Final = re.compile(r"v?\d{1,4}(?:-[a-z][a-z0-9.-]*)?")
_SHORT: Final = re.compile(r"v?\d{1,4}\.\d{1,4}(?:-[a-z][a-z0-9.-]*)?")
_WORD: Final = re.compile(r"[a-z]+")


def moving(image: Image) -> str:
    """Why the content behind a reference may change without a change of the reference; empty when it names one image.

    A digest names one image whatever the tag says. A tag of one number (``1``, ``v3-alpine``) is the newest release of a line by every publisher's
    custom, one of two numbers by that of Docker's official images; anything longer is taken for one release, and so is a word with a number after it
    (``main-4f1c2ab``), unless the word is ``latest``.
    """
    if image.digest:
        return ""
    if not image.tag:
        return "has no tag, which means latest"
    word = _WORD.match(image.tag)
    if word is not None and word[0] in _WORDS and (image.tag == word[0] or image.tag[word.end()] in "-_."):
        return f"has the tag {image.tag}, which moves with every build" if word[0] == "latest" or not _has_digit(image.tag) else ""
    if _LINE.fullmatch(image.tag) or (image.repository.startswith("docker.io/library/") and _SHORT.fullmatch(image.tag)):
        return f"has the tag {image.tag}, which moves with every release of its line"
    return ""


def _has_digit(tag: str) -> bool:
    return any(char.isdigit() for char in tag)
