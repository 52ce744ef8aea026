"""The certificates of a cluster: what is issued, by whom, and which host shows what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.certificates import issued, matrix

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "certificates, issuers, and the TLS matrix"
COMMANDS: dict[str, Command] = {"list": issued, "matrix": matrix}
