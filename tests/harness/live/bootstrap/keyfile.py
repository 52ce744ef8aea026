"""The file with Vault's key shares, and the root token until it is revoked; nothing in it is readable.

Each operator's share is in a box of its own; with a passphrase all shares are in one. The root token is in a box that the passphrase or any of the
operators opens: it lives from the initialisation until the configuration Job has logged in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from harness.live.bootstrap.base import BootstrapError, write_private
from harness.live.bootstrap.box import WORK, Keys, NotForYouError, close, name_of, open_box

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

FORMAT: Final = "plimsoll-vault-keys/1"


@dataclass(frozen=True)
class Operator:
    """Somebody who keeps a share."""

    name: str
    key: X25519PublicKey


@dataclass(frozen=True)
class KeyFile:
    """What stands in the file: how many shares open Vault, the boxes, and by what kind of seal it was initialised."""

    cluster: str
    seal: str
    threshold: int
    boxes: tuple[dict[str, Any], ...]
    root: dict[str, Any] | None

    def shares(self, keys: Keys) -> list[str]:
        """The shares that the keys at hand open; none of them where they open none. Raises BootstrapError for damaged boxes."""
        found: list[str] = []
        for box in self.boxes:
            try:
                opened = json.loads(open_box(box, keys))
            except NotForYouError:
                continue
            found += [str(share) for share in opened]
        return found

    def token(self, keys: Keys) -> str:
        """The root token; empty when it was revoked. Raises NotForYouError when the keys at hand do not open it."""
        return open_box(self.root, keys).decode() if self.root is not None else ""

    def without_root(self) -> KeyFile:
        return replace(self, root=None)

    def write(self, path: Path) -> None:
        """Write the file. Raises BootstrapError."""
        body = {"format": FORMAT, "cluster": self.cluster, "seal": self.seal, "threshold": self.threshold, "shares": list(self.boxes), "root": self.root}
        write_private(path, json.dumps(body, indent=1) + "\n")


def make(
    cluster: str, seal: str, threshold: int, shares: Sequence[str], token: str, keys: Keys, operators: Sequence[Operator] = (), *, work: int = WORK
) -> KeyFile:
    """The file's content after an initialisation: a share for every operator, or all of them behind the passphrase.

    Raises BootstrapError when there are other numbers of shares and operators.
    """
    what = f"Vault of {cluster}"
    if operators:
        boxes = [
            close(json.dumps([share]).encode(), f"{what}: share of {operator.name}", Keys(recipients=[operator.key]), work=work)
            for operator, share in zip(operators, shares, strict=True)
        ]
    else:
        boxes = [close(json.dumps(list(shares)).encode(), f"{what}: shares", keys, work=work)]
    everybody = {name_of(each): each for each in (*keys.recipients, *(operator.key for operator in operators))}
    root = close(token.encode(), f"{what}: root token", replace(keys, recipients=list(everybody.values())), work=work)
    return KeyFile(cluster, seal, threshold, tuple(boxes), root)


def read(path: Path, cluster: str) -> KeyFile:
    """Read the file. Raises BootstrapError: it is not there, damaged, or another cluster's."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise ValueError("format")
        found = KeyFile(str(body["cluster"]), str(body["seal"]), int(body["threshold"]), tuple(body["shares"]), body["root"])
    except OSError as error:
        raise BootstrapError(f"{path}: {error.strerror}") from error
    except (TypeError, KeyError, ValueError):
        raise BootstrapError(f"{path} is no file with Vault's keys of the format {FORMAT}") from None
    if found.cluster != cluster:
        raise BootstrapError(f"{path} holds the keys of the cluster {found.cluster}, not of {cluster}")
    return found
