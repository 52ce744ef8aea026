"""Explain a rule: what it demands, why, how to mend it, and what it applies to. Without a rule, list them all."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from harness.commands.common import CommandError, bold, out
from harness.live.catalog import live_rules
from harness.live.findings import LiveRule
from harness.model import Severity
from harness.report.catalog import scope
from harness.rules import all_rules

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.rules.base import Rule

HELP = "explain a rule, or list them all"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="its id, such as FLX104")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    del workspace
    rules: list[Rule | LiveRule] = sorted([*all_rules(), *live_rules()], key=lambda each: each.id)
    if not options.rule:
        for known in rules:
            out(f"{bold(known.id)}  {known.title}")
        return 0
    wanted = options.rule.upper()
    rule = next((known for known in rules if known.id == wanted), None)
    if rule is None:
        near = difflib.get_close_matches(wanted, [known.id for known in rules], n=3)
        raise CommandError(f"there is no rule {options.rule}" + (f": did you mean {', '.join(near)}?" if near else ""))
    out(f"{bold(rule.id)}  {rule.title}")
    for label, text in (
        ("applies", "a running cluster" if isinstance(rule, LiveRule) else scope(rule)),
        ("severity", Severity.ERROR if isinstance(rule, LiveRule) else rule.severity),
        ("why", rule.why),
        ("fix", rule.fix),
        ("controls", ", ".join(rule.controls)),
    ):
        if text:
            out(f"  {label:<10}{text}")
    return 0
