"""Test files: where they are, what they name, and the rows they expect."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.model.shapes import items, mapping, text
from harness.source.yaml import decode, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.source.yaml import Document

GROUP = "cli.kyverno.io"
DEFAULT_NAME = "kyverno-test.yaml"
_SUFFIXES = (".yaml", ".yml", ".json")
_REMOTE = re.compile(r"^(?:https?|ssh|git)://|^git@", re.IGNORECASE)


class InputError(Exception):
    """A file that a test names and that cannot be read; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of ``results``. ``line`` is where it starts; ``resources`` are the names it is about, none for all."""

    index: int
    line: int
    policy: str
    rule: str
    result: str
    kind: str
    namespace: str
    operation: str
    resources: tuple[str, ...]
    specs: tuple[tuple[str, str, str], ...]
    """``resourceSpecs``: apiVersion, namespace and name."""
    patched: str
    generated: tuple[str, ...]
    fail_on_missing: bool
    deleting: bool
    problems: tuple[str, ...] = ()

    @property
    def policy_name(self) -> str:
        return self.policy.rpartition("/")[2]

    @property
    def policy_namespace(self) -> str:
        return self.policy.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class TestFile:
    """A test as it is written. ``problems`` make all of it impossible to check."""

    __test__ = False

    path: Path
    name: str
    body: dict[str, Any]
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()
    checks: int = field(default=0)
    """Entries of ``checks`` (assertion trees), which are not evaluated."""

    def paths(self, key: str) -> list[str]:
        """The paths that a field lists."""
        value = self.body.get(key)
        return [entry for entry in (items(value) if not isinstance(value, str) else [value]) if isinstance(entry, str) and entry]


def find_tests(root: Path, name: str = DEFAULT_NAME) -> list[Path]:
    """The test files below a folder, sorted; the file itself when it is one."""
    if root.is_file():
        return [root]
    return sorted(path for path in root.rglob(name) if path.is_file() and ".git" not in path.parts)


def read_tests(path: Path) -> list[TestFile]:
    """The tests of a file: one, or one for each of its documents. What is wrong with one is in its ``problems``."""
    problems: list[str] = []
    documents: list[Document] = []
    try:
        documents = list(_documents(path))
    except InputError as error:
        problems.append(str(error))
    tests = [document for document in documents if _is_test(document.body)]
    if not tests and not problems:
        problems.append(f"{path}: there is no document of kind Test ({GROUP})")
    if not tests:
        return [TestFile(path, path.parent.name, {}, (), tuple(problems))]
    return [_test(path, document) for document in tests]


def _test(path: Path, document: Document) -> TestFile:
    body = mapping(document.body)
    rows = tuple(_row(index, entry, document) for index, entry in enumerate(items(body.get("results"))))
    problems = [] if rows else [f"{path}: the test has no results"]
    name = text(mapping(body.get("metadata")).get("name")) or text(body.get("name")) or path.parent.name
    return TestFile(path, name, body, rows, tuple(problems), len(items(body.get("checks"))))


def _is_test(body: Any) -> bool:
    # As the command line, which reads older tests of other groups, or of none, too.
    found = mapping(body)
    return found.get("kind") == "Test" or ("kind" not in found and "results" in found and "policies" in found)


def _row(index: int, entry: Any, document: Document) -> Row:
    body = mapping(entry)
    problems = []
    if not isinstance(entry, dict):
        problems.append("the row is no mapping")
    result = text(body.get("result")) or text(body.get("status"))
    if result not in ("pass", "fail", "skip", "error", "warn"):
        problems.append(f"the row expects {result or 'nothing'!r}: pass, fail, skip, error and warn can be expected")
    operation = text(body.get("operation"))
    if operation not in ("", "CREATE", "UPDATE", "DELETE"):
        problems.append(f"operation {operation!r} is none of CREATE, UPDATE, DELETE")
    if not text(body.get("policy")):
        problems.append("the row names no policy")
    names = [name for name in items(body.get("resources")) if isinstance(name, str)]
    if text(body.get("resource")):
        names.append(text(body.get("resource")))
    generated = [name for name in items(body.get("generatedResources")) if isinstance(name, str)]
    if not generated and text(body.get("generatedResource")):
        generated.append(text(body.get("generatedResource")))
    specs = []
    for spec in map(mapping, items(body.get("resourceSpecs"))):
        group, version = text(spec.get("group")), text(spec.get("version"))
        specs.append((f"{group}/{version}" if group else version, text(spec.get("namespace")), text(spec.get("name"))))
    return Row(
        index=index,
        line=document.locate(("results", index)).line or document.line,
        policy=text(body.get("policy")),
        rule=text(body.get("rule")),
        result=result,
        kind=text(body.get("kind")),
        namespace=text(body.get("namespace")),
        operation=operation,
        resources=tuple(names),
        specs=tuple(specs),
        patched=text(body.get("patchedResources")) or text(body.get("patchedResource")),
        generated=tuple(generated),
        fail_on_missing=body.get("failOnMissingResources") is True,
        deleting=body.get("isDeletingPolicy") is True,
        problems=tuple(problems),
    )


def _documents(path: Path) -> Iterator[Document]:
    try:
        content, faults = decode(path.read_bytes(), path.name)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    parsed = parse(content, path.name, strict=False, any_root=True)
    for problem in (*faults, *parsed.problems):
        raise InputError(f"{path}:{problem.location.line}: {problem.message}")
    yield from parsed.documents


def bodies(folder: Path, name: str) -> list[dict[str, Any]]:
    """The mappings of a file, or of all files of a folder, by a path that a test in ``folder`` gives; lists are taken apart. Raises InputError."""
    found: list[dict[str, Any]] = []
    for body in values(folder, name):
        if isinstance(body, dict):
            found += [item for item in items(body.get("items")) if isinstance(item, dict)] if _is_list(body) else [body]
    return found


def values(folder: Path, name: str) -> list[Any]:
    """The documents of a file or a folder, whatever they are. Raises InputError."""
    if _REMOTE.search(name):
        raise InputError(f"{name} is not evaluated: it is not on this machine")
    path = folder / name
    if path.is_dir():
        return [document.body for each in sorted(path.rglob("*")) if each.suffix in _SUFFIXES and each.is_file() for document in _documents(each)]
    if not path.is_file():
        raise InputError(f"{name}: there is no such file in {folder}")
    return [document.body for document in _documents(path)]


def _is_list(body: dict[str, Any]) -> bool:
    return text(body.get("kind")).endswith("List") and isinstance(body.get("items"), list) and "metadata" not in body.get("spec", {})
