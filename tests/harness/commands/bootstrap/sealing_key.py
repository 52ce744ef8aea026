"""Make, keep and bring back the key pair that opens a cluster's SealedSecrets.

python -m harness bootstrap sealing-key ensure --cluster production --context production --backup sealing.box
python -m harness bootstrap sealing-key ensure ... --backup sealing.box --recipient alice.pub --recipient bob.pub
python -m harness bootstrap sealing-key ensure ... --backup sealing.box --rotate     a newer key; the old ones go on opening
python -m harness bootstrap sealing-key restore ... --backup sealing.box             into a cluster that lost it, or a new one
python -m harness bootstrap sealing-key backup ... --backup new.box                  what the cluster has now

`ensure` makes a key where the cluster has none, before the controller makes one nobody knows, keeps it in the encrypted file, and writes the
certificate into clusters/<cluster>/sealed-secrets-certificate.yaml. With a file that holds a key already it uses that one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.bootstrap.common import add_context, add_dry_run, add_keys, ended, folder_of, keys_from, kubectl_of, telling
from harness.commands.common import CommandError, out
from harness.live.bootstrap.sealing import ensure_key, keys_of, read_backup, restore, write_backup
from harness.live.bootstrap.values import outstanding, write_certificate

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "make, keep and bring back the key of SealedSecrets"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("ensure", "backup", "restore"), help="what to do")
    add_context(parser)
    add_dry_run(parser)
    add_keys(parser, closing=True)
    parser.add_argument("--backup", type=Path, required=True, metavar="FILE", help="the encrypted file with the keys")
    parser.add_argument("--rotate", action="store_true", help="with ensure: make a newer key besides those that are there")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    root, folder = folder_of(workspace, options)
    if options.rotate and options.action != "ensure":
        raise CommandError("--rotate goes with ensure")
    with telling() as journal:
        kubectl = kubectl_of(workspace, options)
        if options.dry_run:
            here = keys_of(kubectl)
            out(f"the cluster has {len(here)} sealing keys{': ' if here else ''}{', '.join(pair.fingerprint[:16] for pair in here)}")
            out(f"{options.backup}: {'there' if options.backup.exists() else 'not there yet'}")
            return 0
        keys = keys_from(options, closing=not options.backup.exists() and options.action != "restore")
        if options.action == "restore":
            pairs = read_backup(options.backup, keys)
            restore(kubectl, pairs, journal)
            newest = pairs[-1]
        elif options.action == "backup":
            write_backup(options.backup, keys_of(kubectl), root.name, keys, journal)
            return ended(journal)
        else:
            newest = ensure_key(kubectl, root.name, options.backup, keys, journal, now=datetime.now(UTC), rotate=options.rotate)
        write_certificate(folder, newest.certificate, journal)
        if left := outstanding(folder):
            out(f"{len(left)} values are not sealed for this certificate: bootstrap seal --cluster {root.name}")
        return ended(journal)
