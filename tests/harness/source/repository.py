"""A repository as the build sees it: a set of files relative to a root, each read and parsed at most once."""

from __future__ import annotations

import bisect
import hashlib
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Final

from harness.model import Location, Problem
from harness.source.listing import Listing, listing
from harness.source.paths import normalise
from harness.source.yaml import Document, Parsed, decode, parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Bytes of the largest file that is read. An etcd object holds 1.5 MiB, the largest CRD bundles about 10 MiB.
MAX_SIZE: Final = 20 * 2**20

#: Suffixes of manifests, as kustomize-controller looks for them.
YAML_SUFFIXES: Final = (".yaml", ".yml")

_JSON_PATCH_KEYS: Final = frozenset(("op", "path"))


class UnreadableError(Exception):
    """A file cannot be given; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Repository:
    """The files below a directory that a cluster could get. Safe to use from several threads.

    Inside a git work tree these are the tracked files and the untracked ones that git does not ignore; elsewhere all files but
    ``.git``. Symlinks are followed while they stay inside. Paths are relative to the root with ``/``; the root itself is "".
    """

    def __init__(self, root: Path) -> None:
        """Raises NotADirectoryError."""
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is not a directory")
        self.root = root.resolve()
        self._lock = threading.Lock()
        self._contents: dict[str, bytes] = {}
        self._digests: dict[str, str] = {}
        self._parsed: dict[str, Parsed] = {}
        self._documents: dict[str, tuple[Document, ...]] = {}
        self._problems: dict[str, tuple[Problem, ...]] = {}

    @cached_property
    def _listing(self) -> Listing:
        with self._lock:
            return listing(self.root)

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._listing.files)

    def files(self, under: str = "") -> tuple[str, ...]:
        """Every file at or below a path, sorted."""
        names = self._names
        if not under:
            return tuple(names)
        if under in self._listing.files:
            return (under,)
        prefix = under.rstrip("/") + "/"
        return tuple(names[bisect.bisect_left(names, prefix) : bisect.bisect_left(names, prefix[:-1] + "0")])

    def exists(self, path: str) -> bool:
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: str) -> bool:
        return path in self._listing.files

    def is_dir(self, path: str) -> bool:
        """True for directories that hold at least one file: git and Flux know no others."""
        return path in self._listing.directories

    def read(self, path: str) -> bytes:
        """The content of a file. Raises :class:`UnreadableError`, with a problem that is kept in :attr:`problems` too."""
        known = self._contents.get(path)
        if known is not None:
            return known
        disk = self._listing.files.get(path)
        if disk is None:
            raise UnreadableError(self._missing(path))
        try:
            size = disk.stat().st_size
            if size > MAX_SIZE:
                raise self._unreadable("file-too-large", path, f"the file has {size} bytes, at most {MAX_SIZE} are read")
            content = disk.read_bytes()
        except OSError as error:
            raise self._unreadable("file-unreadable", path, f"the file cannot be read: {error.strerror}") from error
        self._contents[path] = content
        return content

    def text(self, path: str) -> str:
        """The content of a file as text, bytes that are not UTF-8 replaced. Raises :class:`UnreadableError`, also for binary files."""
        content = self.read(path)
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise self._unreadable("yaml-encoding", path, "the file is UTF-16: save it as UTF-8", line=1)
        if b"\0" in content[:8192]:
            raise self._unreadable("file-binary", path, "the file is binary")
        text, problems = decode(content, path)
        if problems:
            self._note(path, problems)
        return text

    def parsed(self, path: str) -> Parsed:
        """The documents of a file whatever their roots are: for patches and value lists. Never raises."""
        known = self._parsed.get(path)
        if known is not None:
            return known
        try:
            text = self.text(path)
        except UnreadableError as unreadable:
            parsed = Parsed((), (unreadable.problem,))
        else:
            found = parse(text, path, strict=True, any_root=True)
            parsed = Parsed(found.documents, (*self._problems.get(path, ()), *found.problems))
        self._parsed[path] = parsed
        self._note(path, parsed.problems)
        return parsed

    def documents(self, path: str) -> tuple[Document, ...]:
        """The documents of a file that are mappings; what is wrong with the file is in :attr:`problems`. Never raises.

        A document that is a JSON patch (a list of operations) is passed over, other documents are reported.
        """
        known = self._documents.get(path)
        if known is not None:
            return known
        parsed = self.parsed(path)
        odd = tuple(_not_a_mapping(each) for each in parsed.documents if not isinstance(each.body, dict) and not is_json_patch(each.body))
        documents = tuple(each for each in parsed.documents if isinstance(each.body, dict))
        self._note(path, (*parsed.problems, *odd))
        self._documents[path] = documents
        return documents

    def digest(self, path: str) -> str:
        """The SHA-256 of a file in hex. Raises :class:`UnreadableError`."""
        known = self._digests.get(path)
        if known is None:
            known = self._digests[path] = hashlib.sha256(self.read(path)).hexdigest()
        return known

    def problems_of(self, paths: Iterable[str]) -> tuple[Problem, ...]:
        """What is wrong with these files, as far as they have been read."""
        return tuple(problem for path in sorted(set(paths)) for problem in self._problems.get(path, ()))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files read so far, and with the tree, by path and line."""
        with self._lock:
            found = {problem for problems in self._problems.values() for problem in problems}
        found.update(self._listing.problems)
        return tuple(sorted(found, key=lambda each: (each.location.path, each.location.line, each.code, each.message)))

    def _note(self, path: str, problems: tuple[Problem, ...]) -> None:
        with self._lock:
            if problems:
                self._problems[path] = tuple(dict.fromkeys((*self._problems.get(path, ()), *problems)))

    def _missing(self, path: str) -> Problem:
        short = normalise(path)
        if short is None:
            return Problem("file-outside-repository", path, Location(path), "the path leaves the repository")
        ignored = short == path and (self.root / path).is_file()
        reason = "git ignores the file, so no cluster will get it" if ignored else "there is no such file"
        return Problem("file-missing", path, Location(path), reason)

    def _unreadable(self, code: str, path: str, message: str, line: int = 0) -> UnreadableError:
        problem = Problem(code, path, Location(path, line), message)
        self._note(path, (problem,))
        return UnreadableError(problem)


def is_json_patch(body: object) -> bool:
    """Whether a document is a list of JSON patch operations (RFC 6902)."""
    return isinstance(body, list) and bool(body) and all(isinstance(each, dict) and each.keys() >= _JSON_PATCH_KEYS for each in body)


def _not_a_mapping(document: Document) -> Problem:
    kind = "a list" if isinstance(document.body, list) else "a single value"
    return Problem("yaml-not-a-mapping", document.path, Location(document.path, document.line), f"the document is {kind}, not a mapping")
