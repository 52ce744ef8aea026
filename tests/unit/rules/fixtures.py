"""Fixtures of rules: a whole little repository in one file, with what is wrong with it in its header.

Header lines, all optional, at the top of the file:

``#! build``
    Discover clusters and build them. Without it the documents are taken as the objects of the cluster ``test``.
``#! kubernetes: 1.36``
    The cluster's version.
``#! today: 2026-11-23``
    The date that rules about time go by.
``#! expect: <path>:<line> <part of what is found>``
    One violation; a bad fixture names every one, and nothing else may be found.
``#! file: <path>``
    Starts a file. Without any, the whole text is ``clusters/test/objects.yaml``. Lines count from the line after this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from harness.flux.discovery import manifests
from harness.flux.workspace import Options, Workspace
from harness.flux.world import World
from harness.rules.context import Context
from harness.rules.engine import evaluate_repository, evaluate_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.cache import Cache
    from harness.model import Finding
    from harness.rules.base import Rule

ROOT = Path(__file__).parents[2] / "data" / "rules"
_HEADER = re.compile(r"^#! (?P<key>\w+)(?:: (?P<value>.*))?$")
_DEFAULT_DATE = date(2026, 11, 23)


@dataclass
class Fixture:
    """One fixture file, taken apart."""

    path: Path
    build: bool = False
    kubernetes: str = "1.36"
    today: date = _DEFAULT_DATE
    expected: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        """``FLX104-wait-and-health-checks``: the rule and what the fixture shows."""
        return f"{self.rule}-{self.path.stem.partition('-')[2]}"


def read(path: Path) -> Fixture:
    """Take a fixture file apart. Raises ValueError for an unknown header."""
    fixture = Fixture(path)
    current = "clusters/test/objects.yaml"
    lines: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        header = _HEADER.match(line)
        # Cases of policies have header lines of their own.
        if header is None or (current.startswith("tests/data/policies/") and header["key"] != "file"):
            lines.setdefault(current, []).append(line)
            continue
        key, value = header["key"], (header["value"] or "").strip()
        if key == "file":
            current = value
            lines[current] = []
        elif key == "build":
            fixture.build = True
        elif key == "kubernetes":
            fixture.kubernetes = value
        elif key == "today":
            fixture.today = date.fromisoformat(value)
        elif key == "expect":
            where, _, what = value.partition(" ")
            fixture.expected.append((where, what))
        elif key != "world":
            raise ValueError(f"{path}: unknown header {key}")
    fixture.files = {name: "\n".join(text) for name, text in lines.items() if name in fixture_files(lines)}
    return fixture


def fixture_files(lines: dict[str, list[str]]) -> set[str]:
    """The files that have content, or were named: blank lines before the first ``file`` header are no file."""
    return {name for name, text in lines.items() if len(lines) == 1 or any(line.strip() for line in text) or name != "clusters/test/objects.yaml"}


def findings(fixture: Fixture, rule: Rule, folder: Path, cache: Cache) -> list[Finding]:
    """What the rule says of the fixture, written into a folder and looked at. Equal builds of several fixtures come from the cache."""
    for name, text in fixture.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    workspace = Workspace(folder, Options(kubernetes_version=fixture.kubernetes if fixture.build else None))
    workspace.cache = cache
    workspace.today = fixture.today
    context = Context(workspace.repository, fixture.today, own=True)
    found: list[Finding] = []
    for world in _worlds(fixture, workspace):
        context.add(world)
        found += [finding for case in evaluate_world(world, [rule]) for finding in case.findings]
    files = manifests(workspace.repository)
    for path in files:
        workspace.repository.documents(path)
    context.problems += workspace.repository.problems
    found += [finding for case in evaluate_repository(context, [rule], files) for finding in case.findings]
    return found


def _worlds(fixture: Fixture, workspace: Workspace) -> Iterator[World]:
    if fixture.build:
        for root in workspace.clusters:
            yield workspace.world(root)
        return
    documents = [
        document
        for path in manifests(workspace.repository)
        for document in workspace.repository.documents(path)
        if isinstance(document.body, dict) and {"apiVersion", "kind", "metadata"} <= document.body.keys()
    ]
    yield World.of_documents(workspace.repository, "test", documents, today=fixture.today, kubernetes_version=fixture.kubernetes)
