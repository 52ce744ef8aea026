"""Which files of a repository enter the artifact that Flux builds from.

Source: fluxcd/pkg/sourceignore and its gitignore package, source-controller's GitRepository reconciler. Differences to git that matter:
the patterns are tried from the last to the first and the first that matches decides, so that a file below an excluded directory can be
included again; the built-in exclusions of CI files and pictures apply only when the repository and the source bring no patterns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.source.paths import parent
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from harness.source.repository import Repository

_VCS: Final = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
_DEFAULTS: Final = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml"),
    *("codeship-services.yml", "codeship-steps.yml", "**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
IGNORE_FILE: Final = ".sourceignore"


@dataclass(frozen=True, slots=True)
class _Pattern:
    domain: tuple[str, ...]
    parts: tuple[str, ...]
    include: bool
    directory_only: bool
    anchored: bool

    def matches(self, path: tuple[str, ...]) -> bool:
        """Whether the pattern decides about a file, by its own name or by that of a directory above it."""
        if path[: len(self.domain)] != self.domain:
            return False
        rest = path[len(self.domain) :]
        return self._anchored(rest) if self.anchored else self._anywhere(rest)

    def _anywhere(self, rest: tuple[str, ...]) -> bool:
        """One name, at any depth. The file itself is no directory."""
        names = rest[:-1] if self.directory_only else rest
        return any(_glob(self.parts[0], name) for name in names)

    def _anchored(self, rest: tuple[str, ...]) -> bool:
        """A path from the domain; what lies below a match is matched too."""
        for length in range(1, len(rest) + 1):
            if length == len(rest) and self.directory_only:
                return False
            if _path(self.parts, rest[:length]):
                return True
        return False


def _path(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """``**`` stands for any number of directories."""
    reach = {0}
    for part in parts:
        if part == "**":
            reach = set(range(min(reach), len(names) + 1)) if reach else set()
        else:
            reach = {at + 1 for at in reach if at < len(names) and _glob(part, names[at])}
    return len(names) in reach


def _glob(pattern: str, name: str) -> bool:
    return _expression(pattern).match(name) is not None


_EXPRESSIONS: Final[dict[str, re.Pattern[str]]] = {}


def _expression(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match as a regular expression: ``*``, ``?``, ``[a-z]``, ``[^a]`` and ``\\``.

    What stands between two stars is matched where it comes first and never tried further on, which is enough, and keeps hostile patterns linear.
    """
    known = _EXPRESSIONS.get(pattern)
    if known is not None:
        return known
    pieces = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        close = pattern.find("]", at + 2) if character == "[" else -1
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif character == "?":
            pieces[-1] += "[^/]"
        elif character == "\\" and at + 1 < len(pattern):
            at += 1
            pieces[-1] += re.escape(pattern[at])
        elif close > 0:
            body = pattern[at + 1 : close]
            negated = body.startswith("^")
            pieces[-1] += f"[{'^' if negated else ''}{_class(body[1:] if negated else body)}]"
            at = close
        elif character == "[":
            pieces[-1] = "(?!)"  # Go refuses the pattern, and it matches nothing
            break
        else:
            pieces[-1] += re.escape(character)
        at += 1
    head, *rest = pieces
    inner = "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1])
    try:
        compiled = re.compile(head + (f"{inner}[^/]*{rest[-1]}" if rest else "") + r"\Z", re.DOTALL)
    except re.error:
        compiled = re.compile(r"(?!)")
    _EXPRESSIONS[pattern] = compiled
    return compiled


def _class(body: str) -> str:
    return "".join("-" if character == "-" else re.escape(character) for character in body)


def _parse(line: str, domain: tuple[str, ...]) -> _Pattern | None:
    if line.startswith("#") or not line.strip():
        return None
    include = line.startswith("!")
    text = line[1:] if include else line
    if not text.endswith("\\ "):
        text = text.rstrip(" ")
    directory_only = text.endswith("/")
    text = text.rstrip("/") if directory_only else text
    anchored = "/" in text
    parts = tuple(part for part in text.split("/") if part) if anchored else (text,)
    return _Pattern(domain, parts, include, directory_only, anchored) if parts else None


class SourceIgnore:
    """The filter of one source. ``ignore`` is the source's ``spec.ignore``."""

    def __init__(self, repository: Repository, ignore: str | None = None) -> None:
        patterns: list[_Pattern] = []
        # Directories come after their parents, so that the patterns of the deeper file are tried first.
        for path in sorted((p for p in repository.files() if p.rpartition("/")[2] == IGNORE_FILE), key=lambda p: (p.count("/"), p)):
            try:
                text = repository.text(path)
            except UnreadableError:
                continue
            domain = tuple(parent(path).split("/")) if parent(path) else ()
            patterns += _patterns(text, domain)
        patterns += _patterns(ignore or "", ())
        built_in = _VCS if patterns else (*_VCS, *_DEFAULTS)
        self._patterns = (*_patterns("\n".join(built_in), ()), *patterns)
        self._known: dict[str, bool] = {}

    def admits(self, path: str) -> bool:
        """Whether a file enters the artifact."""
        known = self._known.get(path)
        if known is None:
            parts = tuple(path.split("/"))
            deciding = next((pattern for pattern in reversed(self._patterns) if pattern.matches(parts)), None)
            known = self._known[path] = deciding is None or deciding.include
        return known


def _patterns(text: str, domain: tuple[str, ...]) -> list[_Pattern]:
    return [pattern for line in text.splitlines() if (pattern := _parse(line, domain)) is not None]
