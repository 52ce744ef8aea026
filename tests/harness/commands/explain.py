"""Explain a rule: what it demands, why, how to mend it, and what it applies to. Without a rule, list them all."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from harness.commands.common import CommandError, bold, out
from harness.report.catalog import scope
from harness.rules import all_rules, rule_of

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "explain a rule, or list them all"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="its id, such as FLX104")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    del workspace
    if not options.rule:
        for known in all_rules():
            out(f"{bold(known.id)}  {known.title}")
        return 0
    rule = rule_of(options.rule.upper())
    if rule is None:
        near = difflib.get_close_matches(options.rule.upper(), [known.id for known in all_rules()], n=3)
        raise CommandError(f"there is no rule {options.rule}" + (f": did you mean {', '.join(near)}?" if near else ""))
    out(f"{bold(rule.id)}  {rule.title}")
    for label, text in (
        ("applies", scope(rule)),
        ("severity", rule.severity),
        ("why", rule.why),
        ("fix", rule.fix),
        ("controls", ", ".join(rule.controls)),
    ):
        if text:
            out(f"  {label:<10}{text}")
    return 0
