"""What a cluster's bootstrap has to do, in its order: what is there already, and the command for every step that is left. Nothing is changed.

python -m harness bootstrap plan --cluster production --context production
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.bootstrap import status
from harness.commands.bootstrap.common import CLEAN, table
from harness.commands.common import out

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "what is there, and the commands for the rest"


def arguments(parser: argparse.ArgumentParser) -> None:
    status.arguments(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    steps = status.steps_of(workspace, options)
    if options.format == "json":
        out(json.dumps([{"step": step.name, "state": step.state.value, "found": step.found, "command": step.command} for step in steps], indent=2))
    else:
        table(steps, commands=True)
    return CLEAN
