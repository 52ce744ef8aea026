"""The command: ``python -m harness --help``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import COMMANDS, CommandError
from harness.flux.tools import ToolError
from harness.flux.workspace import Options, Workspace, kubernetes_version

if TYPE_CHECKING:
    from harness.commands import Command

CLEAN, FINDINGS, COULD_NOT_CHECK = 0, 1, 2

_DESCRIPTION = """\
Looks at a Flux repository the way its clusters will: builds every Kustomization, renders every release, and answers.

  python -m harness clusters                                  which clusters there are, and where
  python -m harness tree production                           who waits for whom
  python -m harness render production --kind Deployment       what the cluster will get, as YAML
  python -m harness why Deployment/monitoring/grafana         where an object comes from, line by line
  python -m harness check --repo ../fleet                     hold every rule against any repository
  python -m harness explain FLX104                            what a rule demands, why, and how to mend it
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the two columns by which names of commands are indented, which argparse does not count: the longest would have its line for itself."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        longest = max((len(each.dest) for each in self._iter_indented_subactions(action)), default=0)
        self._action_max_length = max(self._action_max_length, longest + self._current_indent + 2)


def parser() -> argparse.ArgumentParser:
    """The command line, one subcommand per module of :mod:`harness.commands`."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--repo", type=Path, default=Path(), metavar="PATH", help="the Flux repository to look at (default: the current folder)")
    shared.add_argument("--charts", type=Path, metavar="DIR", help="folder of chart packages <name>-<version>.tgz (default: $PLIMSOLL_CHARTS)")
    shared.add_argument("--pull", action="store_true", help="fetch charts that are nowhere at hand from their registries")
    shared.add_argument("--no-cache", action="store_true", help="build and render everything again")
    shared.add_argument(
        "--kubernetes-version", type=kubernetes_version, metavar="VERSION", help="the clusters' version (default: their variable KUBERNETES_VERSION)"
    )
    main_parser = argparse.ArgumentParser(
        prog="python -m harness",
        description=_DESCRIPTION,
        epilog="exit codes: 0 clean, 1 findings, 2 could not check",
        formatter_class=_Help,
    )
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        group: dict[str, Command] | None = getattr(command, "COMMANDS", None)
        if group is None:
            _add(commands, name, command, shared)
            continue
        inner = commands.add_parser(name, help=command.HELP, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        members = inner.add_subparsers(dest="member", required=True, metavar="COMMAND")
        for member, module in group.items():
            _add(members, member, module, shared)
    return main_parser


def _add(commands: Any, name: str, command: Any, shared: argparse.ArgumentParser) -> None:
    added = commands.add_parser(name, parents=[shared], help=command.HELP, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.arguments(added)
    added.set_defaults(run=command.run)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    charts = options.charts or (Path(os.environ["PLIMSOLL_CHARTS"]) if os.environ.get("PLIMSOLL_CHARTS") else None)
    if not options.repo.is_dir():
        return _refuse(f"{options.repo} is not a folder")
    if charts is not None and not charts.is_dir():
        return _refuse(f"chart folder {charts} does not exist")
    workspace = Workspace(options.repo, Options(charts=charts, pull=options.pull, cache=not options.no_cache, kubernetes_version=options.kubernetes_version))
    try:
        return int(options.run(workspace, options))
    except (CommandError, ToolError) as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLEAN
    except KeyboardInterrupt:
        return _refuse("interrupted")


def _refuse(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return COULD_NOT_CHECK


if __name__ == "__main__":
    sys.exit(main())
