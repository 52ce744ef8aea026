"""Commands about who may do what: ``python -m harness access can sa:monitoring/grafana get secrets -n monitoring``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.access import can, dangers, diff, grant, holdings, matrix, paths, who_can

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "who may do what, and where rights lead"
COMMANDS: dict[str, Command] = {
    "can": can,
    "who-can": who_can,
    "list": holdings,
    "matrix": matrix,
    "grant": grant,
    "dangers": dangers,
    "paths": paths,
    "diff": diff,
}
