"""What kustomize says when a build fails, cut down to its cause and put on a line.

Source: the texts of kustomize 5.5 to 5.8. kustomize wraps every error once per level and tries each resource as a file first, so that
the cause stands at the end, and the paths are those of a temporary copy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.model import Location, Problem
from harness.source.paths import join, parent
from harness.source.reach import KUSTOMIZATION_NAMES, kustomization_document, strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.flux.origins import Entry
    from harness.model import Locator
    from harness.source.repository import Repository

#: kustomize fields that only warn; the first sentence of the warning is the message.
DEPRECATED: Final[Mapping[str, str]] = {
    "bases": "resources",
    "commonLabels": "labels",
    "imageTags": "images",
    "patchesJson6902": "patches",
    "patchesStrategicMerge": "patches",
    "vars": "replacements",
}

_LENGTH: Final = 400
_REGISTERED: Final = re.compile(r"may not add resource with an already registered id: (?P<id>[^\s'\"]+)")
_ID: Final = re.compile(r"(?P<kind>[^./]+)\.(?P<version>[^./]+)\.(?P<group>\[noGrp\]|[^/]+)/(?P<name>[^/]+?)\.(?P<namespace>\[noNs\]|[^./]+)$")
_MALFORMED: Final = re.compile(r"MalformedYAMLError: yaml: (?:line (?P<line>\d+): )?(?P<text>.*?) in File: (?P<file>[^\s:'\"]+)")
_UNKNOWN: Final = re.compile(r"unknown field \\?\"(?P<field>[^\"\\]+)")
_UNDER: Final = re.compile(r"(?:target for path|recursed accumulation of path|in directory) '(?P<path>[^']*)'")
_KIND: Final = re.compile(r"expected kind (?:!= )?'Component' for path '(?P<path>[^']*)")
_CYCLE: Final = re.compile(r"cycle detected: (?P<text>.*)")
_PREFIXES: Final = re.compile(
    r"^(?:accumulating (?:resources|components)|accumulat(?:ion|ing) err='.*?'|accumulateDirectory|recursed (?:accumulation|merging) [^:]*"
    r"|merging resources from '[^']*'|error|couldn't make target for path '[^']*'|map\[string\]interface \{\}\(nil\)): *"
)
#: kustomize tries every resource as a file and then as a directory; the second error says nothing when the first has a cause.
_RETRY: Final = re.compile(r"'?: must build at directory: .*")
#: Errors of several lines are written as a log entry: escaped, or between angle brackets.
_LOGGED: Final = re.compile(r'^[EF]\d{4} \S+ +\d+ \S+\] "command failed" err=(?:"(?P<escaped>.*)"|<(?P<plain>.*)>)$')
_OPERATION: Final = re.compile(r"operation does not apply: .*?is missing (?:path|key): \"?(?P<path>/[^\s\":]*)")
_MARKERS: Final = (
    *("may not add resource with", "MalformedYAMLError", "missing metadata.name", "missing kind", "missing Resource metadata", "no matches for"),
    *("unknown field", "kustomization.yaml is empty"),
    *("cycle detected", "unable to find one of", "expected kind", "Found multiple kustomization", "must specify --enable-helm"),
)


def clean(stderr: str, root: str) -> tuple[str, tuple[str, ...]]:
    """The error and the warnings of a run, with the temporary directory taken out of all paths."""
    text = stderr.replace(f"{root}/", "").replace(root, ".")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    warnings = tuple(line.removeprefix("# Warning: ") for line in lines if line.startswith("# Warning:"))
    error = " ".join(line for line in lines if not line.startswith(("#", "Warning:")))
    logged = _LOGGED.search(error)
    if logged is not None:
        escaped = logged["escaped"]
        error = logged["plain"].strip() if escaped is None else escaped.replace("\\n", " ").replace('\\"', '"')
    return error.removeprefix("error: "), warnings


def cause(error: str) -> str:
    """The innermost part of a wrapped error, at most a few lines long."""
    text = error.replace('\\"', '"')
    for marker in _MARKERS:
        at = text.rfind(marker)
        if at >= 0:
            text = text[at:]
            break
    else:
        before = None
        while text != before:
            before = text
            text = _PREFIXES.sub("", text)
    text = _RETRY.sub("", text).rstrip("' ")
    if text.count('"') % 2 == 1 and text.endswith('"'):
        text = text[:-1]
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."


class Explanation:
    """Puts errors of one build on lines."""

    def __init__(self, repository: Repository, directory: str, body: Mapping[str, Any], locate: Locator, files: Iterable[str], entries: list[Entry]) -> None:
        """``body`` and ``locate``: the kustomization that was built, and its lines; ``files``: what it reaches; ``entries``: its objects, in order."""
        self._repository = repository
        self._directory = directory
        self._locate = locate
        self._kustomizations: list[tuple[str, Mapping[str, Any], Locator]] = [(directory, body, locate)]
        for path in sorted(files):
            if path.rpartition("/")[2] in KUSTOMIZATION_NAMES and parent(path) != directory:
                document = kustomization_document(repository, path)
                if document is not None:
                    self._kustomizations.append((parent(path), document.body, document.locate))
        self._files = sorted(files)
        self._entries = entries

    def problem(self, error: str) -> Problem:
        """The problem an error stands for."""
        text = cause(error)
        code = "kustomize-cycle" if _CYCLE.search(text) else "kustomize-build"
        registered = _REGISTERED.search(text)
        if registered is not None:
            found = self._duplicate(registered["id"].rstrip("'\""))
            if found is not None:
                return found
        return Problem(code, "", self._place(error, text), text)

    def _duplicate(self, text: str) -> Problem | None:
        match = _ID.match(text)
        if match is None:
            return None
        group = "" if match["group"] == "[noGrp]" else match["group"]
        namespace = "" if match["namespace"] == "[noNs]" else match["namespace"]
        same = [
            entry
            for entry in self._entries
            if entry.key == (group, match["kind"]) and match["name"] in entry.names and (namespace in entry.namespaces or not namespace)
        ]
        if len(same) < 2:
            return None
        first, second = same[0].locate(()), same[1].locate(())
        name = "/".join(part for part in (match["kind"], namespace, match["name"]) if part)
        message = f"{name} is there twice" + (f", first at {first}" if first != second else ": the same file is reached twice")
        return Problem("kustomize-build", "", second, message)

    def _place(self, error: str, text: str) -> Location:
        malformed = _MALFORMED.search(text)
        if malformed is not None:
            path = self._file(malformed["file"])
            if path is not None:
                return Location(path, int(malformed["line"] or 0))
        unknown = _UNKNOWN.search(text)
        if unknown is not None:
            found = self._field(unknown["field"])
            if found is not None:
                return found
        found = self._reference(text) or self._patch(text) or self._operation(text)
        if found is not None:
            return found
        for path in (match["path"] for match in reversed(list(_UNDER.finditer(error)))):
            for name in KUSTOMIZATION_NAMES:
                candidate = f"{path}/{name}" if path not in ("", ".") else name
                if self._repository.is_file(candidate):
                    return Location(candidate, 1)
        named = self._quoted(error)
        return named if named is not None else self._locate(())

    def _file(self, reference: str) -> str | None:
        """The reached file that a reference ends on; kustomize prints references as they are written."""
        tail = reference.replace("../", "").removeprefix("./")
        fit = [path for path in self._files if path == tail or path.endswith(f"/{tail}")]
        return fit[0] if len(fit) == 1 else next((path for path in fit if path.startswith(self._directory)), None)

    def _field(self, name: str) -> Location | None:
        for _, body, locate in self._kustomizations:
            pointer = _find(body, name, ())
            if pointer is not None:
                return locate(pointer)
        return None

    def _reference(self, text: str) -> Location | None:
        """The entry that names a component as a resource, or the other way round."""
        match = _KIND.search(text)
        if match is None:
            return None
        for directory, body, locate in self._kustomizations:
            for name in ("resources", "bases", "components"):
                for index, reference in strings(body.get(name)):
                    if join(directory, reference) == match["path"]:
                        return locate((name, index))
        return None

    def _patch(self, text: str) -> Location | None:
        """The patch whose target is not among the resources, found by the name that kustomize prints."""
        match = re.search(r"(?:no matches for Id|no resource matches strategic merge patch) \"?(?P<id>[^\s\";]+)", text)
        identity = _ID.match(match["id"]) if match is not None else None
        if identity is None:
            return None
        for directory, body, locate in self._kustomizations:
            for name in ("patches", "patchesStrategicMerge", "patchesJson6902"):
                for index, item in enumerate(body.get(name) or ()):
                    if _mentions(self._repository, directory, item, identity["name"], identity["kind"]):
                        return locate((name, index))
        return None

    def _operation(self, text: str) -> Location | None:
        """The first JSON patch with an operation on the path that kustomize prints."""
        match = _OPERATION.search(text)
        if match is None:
            return None
        for directory, body, locate in self._kustomizations:
            for name in ("patches", "patchesJson6902"):
                for index, item in enumerate(body.get(name) or ()):
                    if _mentions(self._repository, directory, item, match["path"], "op"):
                        return locate((name, index))
        return None

    def _quoted(self, error: str) -> Location | None:
        for text in reversed(re.findall(r"'([^'\s]+)'", error)):
            path = self._file(text)
            if path is not None:
                return Location(path)
        return None


def _find(body: Any, name: str, at: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    if isinstance(body, dict):
        if name in body and isinstance(name, str):
            return (*at, name)
        entries: Iterable[tuple[str | int, Any]] = body.items()
    elif isinstance(body, list):
        entries = enumerate(body)
    else:
        return None
    return next((found for key, value in entries if (found := _find(value, name, (*at, key))) is not None), None)


def _mentions(repository: Repository, directory: str, item: Any, *words: str) -> bool:
    text = item if isinstance(item, str) else str(item.get("patch") or "") if isinstance(item, dict) else ""
    reference = item.get("path") if isinstance(item, dict) else item if "\n" not in text else None
    if isinstance(reference, str) and reference:
        target = join(directory, reference)
        if target is not None and repository.is_file(target):
            text = repository.text(target)
    return all(word in text for word in words)


def deprecations(repository: Repository, files: Iterable[str], top: str, body: Mapping[str, Any], locate: Locator) -> list[Problem]:
    """Fields of the reached kustomizations that kustomize is about to drop. ``top`` is read from ``body`` and ``locate``."""
    found: list[Problem] = []
    for path in sorted(set(files) | {top}):
        if path.rpartition("/")[2] not in KUSTOMIZATION_NAMES:
            continue
        document = None if path == top else kustomization_document(repository, path)
        fields = body if path == top else document.body if document is not None else {}
        for old, new in DEPRECATED.items():
            if fields.get(old) is not None:
                at = document.locate((old,)) if document is not None else locate((old,))
                found.append(Problem("kustomize-deprecated", "", at, f"{old} is deprecated in kustomize: use {new}"))
    return found
