"""Commands about admission policies: what they say of objects, and whether their own tests hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.commands.policy import evaluate, test

if TYPE_CHECKING:
    from harness.commands import Command

HELP = "evaluate admission policies"
COMMANDS: dict[str, Command] = {"eval": evaluate, "test": test}
