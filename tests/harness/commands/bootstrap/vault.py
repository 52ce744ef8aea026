"""Initialise, unseal and configure Vault once; unseal it again; save and restore what it holds.

python -m harness bootstrap vault up --cluster kind --context kind-kind --keys vault.box                     5 shares, 3 needed, behind a passphrase
python -m harness bootstrap vault up ... --keys vault.box --operator alice=alice.pub --operator bob=bob.pub --operator carol=carol.pub --threshold 2
python -m harness bootstrap vault unseal ... --keys vault.box --identity alice.pem    each keeper in turn, until enough have
python -m harness bootstrap vault unseal ... --prompt                                 shares that somebody kept on paper
python -m harness bootstrap vault revoke ... --keys vault.box                         the root token, if `up` could not end
python -m harness bootstrap vault root ... --keys vault.box                           a new root token, where Vault allows it (break-glass)
python -m harness bootstrap vault run ... --keys vault.box --exec vault operator raft list-peers
python -m harness bootstrap vault snapshot ... --keys vault.box --file vault.snap
python -m harness bootstrap vault restore ... --keys vault.box --file vault.snap --other-keys

`up` does what stands at the head of clusters/base/infrastructure/vault/configs/configure.sh. `run` gives a program Vault's address, certificate and
root token in its environment. `snapshot`, `restore` and `run` take $VAULT_TOKEN instead of the root token when it is set. A Vault with a key
service unseals itself, and its keys are recovery keys.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.bootstrap.common import add_context, add_dry_run, add_keys, confirm, ended, folder_of, keys_from, kubectl_of, progress, prompted, telling
from harness.commands.common import CommandError, out
from harness.live.bootstrap.box import Keys, read_recipient
from harness.live.bootstrap.keyfile import Operator
from harness.live.bootstrap.keyfile import read as read_keyfile
from harness.live.bootstrap.vault import Vault
from harness.live.bootstrap.vault_api import SERVER, Forwarded, authority_of, commands

if TYPE_CHECKING:
    from harness.flux.workspace import Workspace
    from harness.live.bootstrap.vault_api import Command
    from harness.live.reach.kubectl import Kubectl

HELP = "initialise, unseal, configure, save and restore Vault"
#: Where the head of the configuration script says what has to be done once, and the policies that it names.
SCRIPTS = Path("clusters/base/infrastructure/vault/configs")
_NEEDS_TOKEN = ("snapshot", "restore", "run")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("up", "unseal", "revoke", "root", "run", "snapshot", "restore"), help="what to do")
    add_context(parser)
    add_dry_run(parser)
    add_keys(parser, closing=True)
    parser.add_argument("--keys", type=Path, metavar="FILE", help="the encrypted file with Vault's keys")
    parser.add_argument("--shares", type=int, default=5, metavar="N", help="with up: how many shares to make (default: 5; with --operator one each)")
    parser.add_argument("--threshold", type=int, default=3, metavar="N", help="with up: how many of them are needed (default: 3)")
    parser.add_argument(
        "--operator", action="append", default=[], metavar="NAME=FILE", help="with up: somebody who keeps a share, and the X25519 public key; repeat"
    )
    parser.add_argument("--until-unsealed", action="store_true", help="with up: stop there and keep the root token, to restore a snapshot")
    parser.add_argument("--prompt", action="store_true", help="with unseal: ask for shares on the terminal")
    parser.add_argument("--file", type=Path, metavar="FILE", help="the snapshot")
    parser.add_argument(
        "--other-keys", action="store_true", help="with restore: the snapshot is of a Vault with other keys, which are needed to unseal it then"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before restore")
    parser.add_argument("--authority", type=Path, metavar="FILE", help="the certificates that sign Vault's, in PEM (default: looked up)")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="how long to wait for members and for the Job (default: 600)")
    parser.add_argument("--exec", dest="program", nargs=argparse.REMAINDER, default=[], metavar="PROGRAM", help="with run: the program and its arguments, last")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    root, _folder = folder_of(workspace, options)
    token = os.environ.get("VAULT_TOKEN", "") if options.action in _NEEDS_TOKEN else ""
    with telling() as journal:
        kubectl = kubectl_of(workspace, options)
        authority = options.authority.read_text(encoding="utf-8") if options.authority else ""
        script = _script(workspace) if options.action == "up" else []
        operators = _operators(options)
        if options.dry_run:
            _say_plan(Vault(root.name, kubectl, Forwarded(kubectl, authority), options.keys, Keys(), journal), script)
            return 0
        keys = Keys() if options.prompt or token else _keys(options, operators)
        vault = Vault(root.name, kubectl, Forwarded(kubectl, authority), options.keys, keys, journal, progress=progress(), timeout=options.timeout)
        complete = True
        match options.action:
            case "up":
                complete = vault.up(script, options.shares, options.threshold, operators, until_unsealed=options.until_unsealed)
            case "unseal":
                complete = vault.unseal(_typed_shares(vault) if options.prompt else ())
            case "revoke":
                vault.revoke()
            case "root":
                vault.new_root()
            case "run":
                return _run(vault, kubectl, authority, options, token)
            case "snapshot":
                vault.snapshot(_file(options), token)
            case "restore":
                confirm(options, f"Everything that Vault on {root.name} holds will be replaced by {_file(options)}")
                vault.restore(_file(options), other_keys=options.other_keys, token=token)
        return ended(journal, complete=complete)


def _script(workspace: Workspace) -> list[Command]:
    folder = workspace.root / SCRIPTS
    try:
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.hcl"))}
        return commands((folder / "configure.sh").read_text(encoding="utf-8"), files)
    except OSError as error:
        raise CommandError(f"{SCRIPTS}: {error.strerror}") from error


def _operators(options: argparse.Namespace) -> list[Operator]:
    found = []
    for text in options.operator:
        name, sign, path = text.partition("=")
        if not sign or not name:
            raise CommandError(f"--operator {text}: write NAME=FILE")
        try:
            found.append(Operator(name, read_recipient(Path(path).read_text(encoding="utf-8"), path)))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read: {error}") from error
    if len({each.name for each in found}) != len(found):
        raise CommandError("two operators have the same name")
    return found


def _keys(options: argparse.Namespace, operators: list[Operator]) -> Keys:
    if options.keys is None:
        raise CommandError("say where Vault's keys are, or go to, with --keys FILE")
    making = options.action == "up" and not options.keys.exists()
    if making and operators and options.identity is None and not (options.passphrase_file or options.passphrase_env):
        raise CommandError("with operators, `up` needs --identity of one of them, or a passphrase, to open the root token again while it works")
    return keys_from(options, closing=making)


def _typed_shares(vault: Vault) -> list[str]:
    """As many shares as it takes, or until an empty line."""
    needed = max(member.threshold for member in vault.members())
    if not needed:
        raise CommandError("Vault is not initialised: bootstrap vault up")
    found: list[str] = []
    while len(found) < needed and (share := prompted(f"Share {len(found) + 1} of {needed} (empty to stop)").strip()):
        found.append(share)
    if not found:
        raise CommandError("no share was given")
    return found


def _file(options: argparse.Namespace) -> Path:
    if options.file is None:
        raise CommandError("say which snapshot with --file FILE")
    return Path(options.file)


def _run(vault: Vault, kubectl: Kubectl, authority: str, options: argparse.Namespace, token: str) -> int:
    if not options.program:
        raise CommandError("say what to run with --exec PROGRAM ...")
    token = token or read_keyfile(options.keys, vault.cluster).token(vault.keys)
    if not token:
        raise CommandError(f"{options.keys} holds no root token any more: docs/operations.md, Break-glass access")
    found = authority or authority_of(kubectl)
    with vault.leader() as pod, Forwarded(kubectl, found).open(pod) as (port, _way), tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "ca.crt"
        certificate.write_text(found, encoding="utf-8")
        address = {"VAULT_ADDR": f"https://127.0.0.1:{port}", "VAULT_CACERT": str(certificate), "VAULT_TLS_SERVER_NAME": SERVER}
        try:
            return subprocess.run(options.program, env={**os.environ, **address, "VAULT_TOKEN": token}, check=False).returncode
        except OSError as error:
            raise CommandError(f"{options.program[0]}: {error.strerror}") from error


def _say_plan(vault: Vault, script: list[Command]) -> None:
    for member in vault.members():
        out(str(member))
    out(f"the Job vault-config {'has' if vault.is_configured() else 'has not'} configured Vault")
    for command in script:
        out(f"once: {command}")
