"""Ask what Pod Security makes of the pods of a cluster, or of any manifests: which a level admits, and what each namespace holds.

python -m harness pods check --cluster production                        every pod against the labels of its namespace
python -m harness pods check --manifests pod.yaml --level restricted     every pod of a file against one level
python -m harness pods check --manifests app/ --level baseline --version 1.25
python -m harness pods list --cluster production                         each namespace: its labels, and the strictest level its pods pass
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.pods import check, listing

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "what Pod Security admits"
COMMANDS: dict[str, Command] = {"check": check, "list": listing}
