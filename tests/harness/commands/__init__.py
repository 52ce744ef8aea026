"""The subcommands: one module each, with ``HELP``, ``arguments(parser)`` and ``run(workspace, options) -> exit code``.

A package is a group of commands: ``HELP`` and ``COMMANDS``, a dictionary of such modules (``python -m harness network list``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.commands import access, bootstrap, certificates, check, clusters, docs, explain, images, lock, network, pods, policy, render, telemetry, tree, why
from harness.commands.common import CommandError

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace


class Command(Protocol):
    """What a module of this package offers."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""

    def run(self, workspace: Workspace, options: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


class Group(Protocol):
    """What a package of commands offers."""

    HELP: str
    COMMANDS: dict[str, Command]


COMMANDS: dict[str, Command | Group] = {
    "clusters": clusters,
    "tree": tree,
    "render": render,
    "why": why,
    "check": check,
    "explain": explain,
    "lock": lock,
    "docs": docs,
    "network": network,
    "images": images,
    "pods": pods,
    "policy": policy,
    "access": access,
    "certificates": certificates,
    "telemetry": telemetry,
    "bootstrap": bootstrap,
}

__all__ = ["COMMANDS", "Command", "CommandError", "Group"]
