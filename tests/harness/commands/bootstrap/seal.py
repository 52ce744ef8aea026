"""Seal a cluster's values for its committed certificate, offline, into clusters/<cluster>/cluster-sealed-values.yaml.

python -m harness bootstrap seal --cluster production --list                     which values there are, and where they go
python -m harness bootstrap seal --cluster production                            asks for each on the terminal
python -m harness bootstrap seal --cluster production --values values.yaml       from a file NAME: value (- for standard input); delete it afterwards
python -m harness bootstrap seal --cluster production --env                      from variables that are called like the values
python -m harness bootstrap seal --cluster production --only GRAFANA_ADMIN_PASSWORD_SEALED

A new certificate asks for all values; values that were sealed for the committed one stay unless they are named.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.commands.bootstrap.common import CLEAN, OUTSTANDING, add_cluster, add_dry_run, ended, folder_of, prompted, telling
from harness.commands.common import CommandError, out, warn
from harness.live.bootstrap.values import VALUES, outstanding, read, reseal
from harness.live.ground.sealing import targets

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "seal a cluster's values for its certificate"
_OTHERS = 0o077


def arguments(parser: argparse.ArgumentParser) -> None:
    add_cluster(parser)
    add_dry_run(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--values", type=Path, metavar="FILE", help="a YAML or JSON file NAME: value; - for standard input")
    source.add_argument("--env", action="store_true", help="take values from variables of their names")
    source.add_argument("--list", action="store_true", help="list the values, seal nothing")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="seal only this value; repeat")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    root, folder = folder_of(workspace, options)
    with telling() as journal:
        current = read(folder, VALUES).data
        left = outstanding(folder)
        where = targets(workspace.world(root).objects, current)
        if unknown := sorted(set(options.only) - where.keys()):
            raise CommandError(f"there is no value {', '.join(unknown)}: there are {', '.join(sorted(where))}")
        if options.list or options.dry_run:
            for name in sorted(where):
                out(f"{name}: {where[name]}{'' if name not in left else ', to be sealed'}")
            return OUTSTANDING if left and options.list else CLEAN
        wanted = sorted(set(options.only) or left)
        given = _given(options, wanted, where)
        if options.only and (odd := sorted(given.keys() - set(options.only))):
            given = {name: value for name, value in given.items() if name not in odd}
        reseal(folder, where, given, journal)
        return ended(journal)


def _given(options: argparse.Namespace, wanted: list[str], where: Any) -> dict[str, bytes]:
    if options.values is not None:
        return _from_file(options.values)
    if options.env:
        return {name: os.environ[name].encode() for name in wanted if os.environ.get(name)}
    return {name: prompted(f"{name} ({where[name]})").encode() for name in wanted}


def _from_file(path: Path) -> dict[str, bytes]:
    try:
        if str(path) == "-":
            text = sys.stdin.read()
        else:
            text = path.read_text(encoding="utf-8")
            if path.stat().st_mode & _OTHERS:
                warn(f"{path} can be read by others: chmod 600, and delete it afterwards")
        body = yaml.safe_load(text)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # The parser's own words would quote the file.
        raise CommandError(f"{path} is no YAML") from None
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        raise CommandError(f"{path}: one NAME: value a line, and every value a text (in quotes where it looks like a number)")
    return {str(name): value.encode() for name, value in body.items()}
