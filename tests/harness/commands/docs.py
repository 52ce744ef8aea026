"""Rewrite what is generated: tests/CATALOG.md, tests/LIVE.md, docs/compliance.md and the marked tables. With --check, only say whether they are current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.common import CommandError, out
from harness.live.catalog import CATALOG, catalog
from harness.report.components import MarkersError
from harness.report.generated import generated_files

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "rewrite the generated documents"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a document is stale")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    stale = False
    try:
        documents = [*generated_files(workspace), (CATALOG, catalog())]
    except MarkersError as error:
        raise CommandError(str(error)) from error
    for path, text in documents:
        target = workspace.root / path
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            out(f"{path}: current")
            continue
        stale = True
        if options.check:
            out(f"{path}: stale, run nox -s docs")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            out(f"{path}: rewritten")
    return 1 if stale and options.check else 0
