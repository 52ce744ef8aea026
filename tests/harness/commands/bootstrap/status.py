"""How far a cluster's bootstrap is, step by step. Nothing is changed.

python -m harness bootstrap status --cluster production --context production --keys vault.box

Exit codes: 0 everything is done, 1 something is left, 2 could not ask. Whether the root token is revoked can only be told with --keys; no
passphrase is needed for that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.bootstrap.common import CLEAN, OUTSTANDING, add_context, folder_of, is_complete, kubectl_of, progress, table, telling
from harness.commands.common import out
from harness.live.bootstrap.base import Journal
from harness.live.bootstrap.box import Keys
from harness.live.bootstrap.status import Status
from harness.live.bootstrap.vault import Vault
from harness.live.bootstrap.vault_api import Forwarded

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.live.bootstrap.base import Step

HELP = "how far the bootstrap is"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_context(parser)
    parser.add_argument("--keys", type=Path, metavar="FILE", help="the file with Vault's keys, to see whether the root token is still in it")
    parser.add_argument("--authority", type=Path, metavar="FILE", help="the certificates that sign Vault's, in PEM (default: looked up)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def steps_of(workspace: Workspace, options: argparse.Namespace) -> list[Step]:
    """The steps of the cluster that the arguments name."""
    root, folder = folder_of(workspace, options)
    with telling():
        kubectl = kubectl_of(workspace, options)
        authority = options.authority.read_text(encoding="utf-8") if options.authority else ""
        vault = Vault(root.name, kubectl, Forwarded(kubectl, authority), options.keys, Keys(), Journal(), progress=progress())
        return Status(kubectl, folder, folder / "flux-system", vault).steps()


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    steps = steps_of(workspace, options)
    if options.format == "json":
        out(json.dumps([{"step": step.name, "state": step.state.value, "found": step.found} for step in steps], indent=2))
    else:
        table(steps, commands=False)
    return CLEAN if is_complete(steps) else OUTSTANDING
