"""Image references as ``github.com/google/go-containerregistry/pkg/name`` reads them (v0.20, weak validation): what Kyverno's ``image()`` gives."""

from __future__ import annotations

import re
from typing import NamedTuple

_REGISTRY_PART = re.compile(r"[.:]|^localhost$")
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,127}", re.ASCII)
_REPOSITORY = re.compile(r"[a-z0-9_\-./]{2,255}", re.ASCII)
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}", re.ASCII)
_DEFAULT_REGISTRY = "index.docker.io"


class ImageReference(NamedTuple):
    """A parsed reference. ``tag`` is ``latest`` when the text has neither tag nor digest, and empty when it has a digest."""

    registry: str
    repository: str
    tag: str
    digest: str
    text: str

    @property
    def identifier(self) -> str:
        return self.digest or self.tag


def parse_image(text: str) -> ImageReference:
    """Reads a reference. Raises ValueError with the library's reason."""
    base, tag = text, ""
    head, colon, tail = text.rpartition(":")
    if colon and "/" not in tail:
        base, tag = head, tail
    if "@" not in text:
        if tag and not _TAG.fullmatch(tag):
            raise ValueError(f"could not parse reference: {text}")
        registry, repository = _repository(base, text)
        return ImageReference(registry, repository, tag or "latest", "", text)
    parts = text.split("@")
    if len(parts) != 2 or not _DIGEST.fullmatch(parts[1]):
        raise ValueError(f"could not parse reference: {text}")
    base = parts[0]
    head, colon, tail = base.rpartition(":")
    if colon and "/" not in tail and _TAG.fullmatch(tail):
        base = head
    registry, repository = _repository(base, text)
    return ImageReference(registry, repository, "", parts[1], text)


def _repository(base: str, text: str) -> tuple[str, str]:
    first, slash, rest = base.partition("/")
    registry, repository = (first, rest) if slash and _REGISTRY_PART.search(first) else ("", base)
    if not _REPOSITORY.fullmatch(repository) or not _AUTHORITY.fullmatch(registry):
        raise ValueError(f"could not parse reference: {text}")
    if registry in ("", "docker.io"):
        registry = _DEFAULT_REGISTRY
    if registry == _DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
