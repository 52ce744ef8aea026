"""Faults seeded into a copy of the real tree: what they are made of, and how one is looked at."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compliance.waivers import load_waivers
from harness.flux.cache import Cache
from harness.flux.discovery import manifests
from harness.flux.workspace import LOCK_FOLDER, Options, Workspace
from harness.model import Location
from harness.rules import rule_of
from harness.rules.base import Clusters, Objects
from harness.rules.context import Context
from harness.rules.engine import evaluate_repository, evaluate_world
from harness.source.yaml import parse
from harness.suite import WAIVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
#: What a fault can be seeded into, and what is needed to look at it.
_COPIED = (".github", ".sourceignore", "clusters", "docs", "policies", "tests/data/policies", "tests/data/alerts", "tests/intent", "tests/lock")
TODAY = date(2026, 11, 23)
CHARTS = Path(os.environ["PLIMSOLL_CHARTS"]) if os.environ.get("PLIMSOLL_CHARTS") else None


@dataclass(frozen=True)
class Edit:
    """One change: the first ``old`` of a file becomes ``new``. Without ``old`` the file is written anew, without ``new`` it is deleted."""

    path: str
    old: str | None
    new: str | None

    def apply(self, tree: Path) -> None:
        """Raises ValueError when the file does not hold ``old``."""
        target = tree / self.path
        text = target.read_text(encoding="utf-8") if self.old is not None else ""
        if self.old is not None and self.old not in text:
            raise ValueError(f"{self.path} has no {self.old!r} to seed a fault into")
        if self.new is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self.new if self.old is None else text.replace(self.old, self.new, 1), encoding="utf-8")


@dataclass(frozen=True)
class Link:
    """A symbolic link that is added."""

    path: str
    target: str

    def apply(self, tree: Path) -> None:
        (tree / self.path).symlink_to(self.target)


@dataclass(frozen=True)
class Place:
    """Where something must be reported: the line on which the first ``text`` of a file ends; the whole file when there is no text."""

    path: str
    text: str = ""

    def location(self, tree: Path) -> Location:
        """The place in an edited tree. Raises ValueError when the file does not hold the text."""
        if not self.text:
            return Location(self.path)
        before, found, _ = (tree / self.path).read_text(encoding="utf-8").partition(self.text)
        if not found:
            raise ValueError(f"{self.path} has no {self.text!r}")
        return Location(self.path, (before + found).rstrip("\n").count("\n") + 1)


@dataclass(frozen=True)
class Fault:
    """A fault, and the rule that must report it: at all of ``places``, and nowhere else.

    ``cluster`` is the only one that is built (none: all of them). ``charts``: what a chart renders differs from the lock then, so the charts must be at hand.
    """

    name: str
    rule: str
    edits: tuple[Edit | Link, ...]
    places: tuple[Place, ...]
    cluster: str = "kind"
    charts: bool = False


def fault(
    name: str,
    rule: str,
    path: str,
    old: str | None,
    new: str | None,
    at: str = "",
    *,
    where: str = "",
    also: tuple[Edit, ...] = (),
    and_at: tuple[Place, ...] = (),
    cluster: str = "kind",
    charts: bool = False,
) -> Fault:
    """A fault of one edit, reported at the end of ``at`` in the same file or in ``where``. ``also`` are further edits, ``and_at`` further places."""
    return Fault(name, rule, (Edit(path, old, new), *also), (Place(where or path, at), *and_at), cluster, charts)


class Memory(Cache):
    """A cache that also keeps in memory what was read: the trees differ in a line, and everything read is read-only."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._read: dict[tuple[str, str], Any] = {}

    def get_json(self, kind: str, key: str) -> Any:
        found = self._read.get((kind, key))
        if found is None:
            found = super().get_json(kind, key)
            if found is not None:
                self._read[kind, key] = found
        return found


@dataclass
class Grounds:
    """Two copies of the real tree, one of them to be edited, and what all looks at them share."""

    copied: Path
    tree: Path
    memory: Memory
    parse: Any = field(default_factory=lambda: lru_cache(maxsize=None)(parse))

    @cached_property
    def untouched(self) -> Workspace:
        """The copy itself."""
        return self._workspace(self.copied)

    @contextmanager
    def seeded(self, fault: Fault) -> Iterator[Workspace]:
        """The second copy, with a fault for as long as somebody looks. What renders releases is shared, as long as the lock is the same."""
        try:
            for edit in fault.edits:
                edit.apply(self.tree)
            workspace = self._workspace(self.tree)
            if not any(edit.path.startswith(LOCK_FOLDER) for edit in fault.edits):
                workspace.renderer = self.untouched.renderer
            yield workspace
        finally:
            for edit in fault.edits:
                (self.tree / edit.path).unlink(missing_ok=True)
                if (self.copied / edit.path).is_file():
                    shutil.copyfile(self.copied / edit.path, self.tree / edit.path)

    def _workspace(self, tree: Path) -> Workspace:
        workspace = Workspace(tree, Options(charts=CHARTS))
        workspace.today = TODAY
        workspace.cache = self.memory
        return workspace

    def reported(self, workspace: Workspace, fault: Fault) -> set[Location]:
        """Where the fault's rule reports something, as far as no waiver covers it."""
        rule = rule_of(fault.rule)
        assert rule is not None, f"there is no rule {fault.rule}"
        context = Context(workspace.repository, TODAY, own=True)
        cases = []
        for root in workspace.clusters:
            if root.name == fault.cluster or not fault.cluster:
                world = workspace.world(root)
                context.add(world)
                cases += evaluate_world(world, [rule])
        if not isinstance(rule.scope, Objects | Clusters):
            files = manifests(workspace.repository)
            for path in files:
                workspace.repository.documents(path)
            context.problems += workspace.repository.problems
            cases += evaluate_repository(context, [rule], files)
        waived = load_waivers(workspace.repository, WAIVERS, today=TODAY).apply(cases)
        return {finding.location for case in cases for finding in case.findings if finding not in waived}


def copy(tree: Path) -> Path:
    """Copy what can be seeded, and what the harness needs to look at it, into a new folder."""
    for name in _COPIED:
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    return tree
