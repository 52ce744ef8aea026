"""Image references, read as container runtimes read them.

Source: the grammar and the normalisation of distribution/reference 0.6 (``reference.go``, ``regexp.go``, ``normalize.go``), which kubelet and containerd
use, and the algorithms of opencontainers/go-digest 1.0.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: The registry of a reference that names none.
DOCKER_HUB: Final = "docker.io"
#: The longest path of a repository.
MAX_PATH: Final = 255

_ALPHANUMERIC: Final = "[a-z0-9]+"
_PATH_COMPONENT: Final = rf"{_ALPHANUMERIC}(?:(?:[._]|__|-+){_ALPHANUMERIC})*"
_PATH: Final = rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*"
_LABEL: Final = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST: Final = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE: Final = re.compile(rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?")
_IDENTIFIER: Final = re.compile("[a-f0-9]{64}")
#: Hexadecimal digits of the algorithms that are known.
_ALGORITHMS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_LOWER_HEX: Final = re.compile("[a-f0-9]+")


class Image(NamedTuple):
    """A reference, taken apart. ``tag`` and ``digest`` (``sha256:…``) are empty when there is none."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Registry and path: ``docker.io/library/nginx``."""
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def familiar(self) -> str:
        """The repository as people write it: ``nginx`` for ``docker.io/library/nginx``."""
        if self.registry != DOCKER_HUB:
            return self.repository
        short = self.path.removeprefix("library/")
        return short if "/" not in short else self.path

    @property
    def pulled(self) -> str:
        """What is pulled: the digest, else the tag, else ``latest``."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag or 'latest'}"

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


class InvalidReferenceError(ValueError):
    """What is wrong with a text that should be a reference."""


def parse(text: str) -> Image:
    """Take a reference apart, with what Docker adds: ``docker.io`` and ``library/``. Raises InvalidReferenceError."""
    if not text:
        raise InvalidReferenceError("it is empty")
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReferenceError("64 hexadecimal digits are an image id, not a name")
    domain, rest = _split(text)
    name = rest.partition(":")[0]
    if name.lower() != name and "$" not in text and "{{" not in text and "://" not in text:
        raise InvalidReferenceError(f"the repository {name} must be lower case")
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidReferenceError(_reason(text))
    digest = match["digest"] or ""
    if digest:
        _check_digest(digest)
    if len(match["path"]) > MAX_PATH:
        raise InvalidReferenceError(f"the repository's path is longer than {MAX_PATH} characters")
    return Image(match["domain"] or "", match["path"], match["tag"] or "", digest)


def try_parse(text: object) -> Image | None:
    """The reference that a text is, or None."""
    try:
        return parse(text) if isinstance(text, str) else None
    except InvalidReferenceError:
        return None


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash:
        return DOCKER_HUB, f"library/{name}"
    if first == "index.docker.io":
        first = DOCKER_HUB
    elif first != "localhost" and "." not in first and ":" not in first and first.lower() == first:
        return DOCKER_HUB, name
    return (first, f"library/{rest}") if first == DOCKER_HUB and "/" not in rest else (first, rest)


def _check_digest(digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    if algorithm not in _ALGORITHMS:
        raise InvalidReferenceError(f"{algorithm} is no known algorithm of digests: {', '.join(_ALGORITHMS)}")
    if len(encoded) != _ALGORITHMS[algorithm]:
        raise InvalidReferenceError(f"a {algorithm} digest has {_ALGORITHMS[algorithm]} hexadecimal digits, not {len(encoded)}")
    if not _LOWER_HEX.fullmatch(encoded):
        raise InvalidReferenceError("a digest is written in lower case")


def _reason(text: str) -> str:
    if text != text.strip():
        return "there are blanks around it"
    if "://" in text:
        return "it is a URL: a reference has no scheme"
    if "$" in text or "{{" in text:
        return "it holds a placeholder that nobody replaced"
    name, at, _ = text.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if at and text.rpartition("@")[2].count(":") != 1:
        return "what follows @ is no digest"
    if ":" in name.rpartition("/")[2] and not re.fullmatch(_TAG, tag):
        return f"{tag!r} is no tag"
    return "it is not of the form [registry[:port]/]path[:tag][@digest]"
