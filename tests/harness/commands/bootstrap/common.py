"""What the commands of the bootstrap share: the cluster and the context that must fit it, and secrets that come from anywhere but an argument."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.common import CommandError, clusters_of, note, out, warn
from harness.live.bootstrap.base import BootstrapError, Journal, State, check_context
from harness.live.bootstrap.box import Keys, name_of, read_identity, read_recipient
from harness.live.reach.kubectl import Kubectl, UnreadableAnswerError
from harness.live.reach.run import RunError
from harness.live.reach.wait import Progress, WaitError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from harness.flux.discovery import ClusterRoot
    from harness.flux.workspace import Workspace
    from harness.live.bootstrap.base import Step

CLEAN, OUTSTANDING = 0, 1


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """The cluster of the repository that is meant."""
    parser.add_argument("--cluster", required=True, metavar="NAME", help="the cluster of the repository")


def add_context(parser: argparse.ArgumentParser) -> None:
    """The cluster, and how it is reached."""
    add_cluster(parser)
    parser.add_argument("--context", required=True, metavar="CONTEXT", help="the kubeconfig's context; refused unless it is named after the cluster")
    parser.add_argument("--i-know-this-is", metavar="CONTEXT", default="", help="the same context once more, when its name says something else")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config")


def add_keys(parser: argparse.ArgumentParser, *, closing: bool) -> None:
    """Passphrases and keys. ``closing``: files may be made, so recipients can be named."""
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="the passphrase is its first line; - for standard input (default: asked for)")
    parser.add_argument("--passphrase-env", metavar="NAME", help="the passphrase is in this variable")
    parser.add_argument(
        "--identity", type=Path, metavar="FILE", help="an X25519 private key in PEM that opens the file; its passphrase is asked for the same way"
    )
    if closing:
        parser.add_argument("--recipient", type=Path, action="append", default=[], metavar="FILE", help="an X25519 public key in PEM that may open it; repeat")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what is there and what would be done, and do nothing")


def folder_of(workspace: Workspace, options: argparse.Namespace) -> tuple[ClusterRoot, Path]:
    """The cluster, and its folder."""
    root = clusters_of(workspace, [options.cluster])[0]
    return root, workspace.root / root.path


def kubectl_of(workspace: Workspace, options: argparse.Namespace) -> Kubectl:
    """kubectl for the context, once it is proven to be the cluster's. Raises CommandError, BootstrapError."""
    config = options.kubeconfig
    if config is None:
        named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
        if len(named) > 1:
            raise CommandError("$KUBECONFIG names several files: say which with --kubeconfig")
        config = Path(named[0]) if named else Path.home() / ".kube" / "config"
    if not config.is_file():
        raise CommandError(f"there is no kubeconfig {config}")
    kubectl = Kubectl(str(workspace.tools.kubectl), config, options.context)
    check_context(kubectl, options.cluster, options.i_know_this_is)
    return kubectl


def secret_from(options: argparse.Namespace, asked: str, *, twice: bool = False) -> str:
    """A passphrase: from the file or variable that was named, else from the terminal. Raises CommandError where there is none of them."""
    if options.passphrase_file is not None:
        try:
            text = sys.stdin.read() if str(options.passphrase_file) == "-" else options.passphrase_file.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options.passphrase_file}: {error.strerror}") from error
        found = text.partition("\n")[0].rstrip("\r")
    elif options.passphrase_env:
        found = os.environ.get(options.passphrase_env, "")
    else:
        found = prompted(asked, twice=twice)
    if not found:
        raise CommandError("the passphrase is empty")
    return str(found)


def prompted(asked: str, *, twice: bool = False) -> str:
    """A secret that somebody types without seeing it."""
    if not sys.stdin.isatty():
        raise CommandError(f"{asked}: there is no terminal to ask at; give it in a file or a variable")
    found = getpass.getpass(f"{asked}: ")
    if twice and getpass.getpass(f"{asked} once more: ") != found:
        raise CommandError("these were two different ones")
    return found


def keys_from(options: argparse.Namespace, *, closing: bool = False, needs_passphrase: bool = True) -> Keys:
    """What opens and closes files, by the arguments of :func:`add_keys`.

    An identity opens instead of a passphrase. Files are made for the recipients, or behind a passphrase where none is named.
    """
    recipients = [read_recipient(_read(path), str(path)) for path in getattr(options, "recipient", ())]
    if options.identity is not None:
        text = _read(options.identity)
        inner = secret_from(options, f"Passphrase of {options.identity}") if "ENCRYPTED" in text else ""
        mine = read_identity(text, str(options.identity), inner)
        if closing and name_of(mine.public_key()) not in {name_of(each) for each in recipients}:
            recipients.append(mine.public_key())
        return Keys("", recipients, [mine])
    if recipients and not (options.passphrase_file or options.passphrase_env):
        return Keys("", recipients)
    return Keys(secret_from(options, "Passphrase of the encrypted file", twice=closing) if needs_passphrase else "", recipients)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def confirm(options: argparse.Namespace, what: str) -> None:
    """Have the cluster's name typed before something that cannot be undone; ``--yes`` says it beforehand. Raises CommandError."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{what}: there is nobody to ask; add --yes when it is meant")
    warn(f"{what}.")
    if input(f"Type the cluster's name to go on ({options.cluster}): ").strip() != options.cluster:
        raise CommandError("not confirmed: nothing was done")


@contextmanager
def telling() -> Iterator[Journal]:
    """A journal on standard output, and errors in the form that commands have."""
    journal = Journal(out)
    try:
        yield journal
    except (BootstrapError, RunError, WaitError, UnreadableAnswerError) as error:
        raise CommandError(str(error)) from error


def ended(journal: Journal, *, complete: bool = True) -> int:
    """The last line of a command that changes things, and its exit code."""
    if complete:
        out("done" if journal.changes else "nothing to do")
    return CLEAN if complete else OUTSTANDING


def progress() -> Progress:
    """What is waited for, on a terminal."""
    return Progress(lambda seconds, text: note(f"  {seconds:4.0f} s  {text.splitlines()[0] if text else ''}"))


def table(steps: Iterable[Step], *, commands: bool) -> None:
    """Steps, one a line."""
    for step in steps:
        out(f"{step.state.value:8}  {step.name:20}  {step.found}")
        if commands and step.command:
            out(f"{'':30}  {step.command}")


def is_complete(steps: Iterable[Step]) -> bool:
    """Whether nothing is left to do. What cannot be told counts as left only where it is not about the root token."""
    return all(step.state is State.DONE or (step.state is State.UNKNOWN and step.name == "root token revoked") for step in steps)
