"""Vault from empty to configured: initialised, unsealed, audited, the configuration Job let in, the root token revoked.

Every step looks first whether it is done, so that a run that stopped anywhere is simply run again.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.live.bootstrap.base import BootstrapError, Journal, UnreachableError, check_writable, condition
from harness.live.bootstrap.box import WORK, Keys
from harness.live.bootstrap.keyfile import KeyFile, Operator, make
from harness.live.bootstrap.keyfile import read as read_keyfile
from harness.live.bootstrap.vault_api import NAMESPACE, Answer, Command, Connect, Transport
from harness.live.reach.run import RunError
from harness.live.reach.wait import Clock, Progress, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.live.reach.kubectl import Kubectl

T = TypeVar("T")

MEMBERS: Final = "app.kubernetes.io/name=vault,component=server"
JOB: Final = "vault-config"
_KUSTOMIZATIONS: Final = "kustomizations.kustomize.toolkit.fluxcd.io"
_SHAMIR: Final = "shamir"
_BREAK_GLASS: Final = "docs/operations.md, Break-glass access"


@dataclass(frozen=True, slots=True)
class Member:
    """One member and its seal. ``seal`` is ``shamir``, or the kind of key service that unseals it."""

    pod: str
    initialised: bool
    sealed: bool
    seal: str
    threshold: int
    progress: int

    @property
    def unseals_itself(self) -> bool:
        return self.seal != _SHAMIR

    def __str__(self) -> str:
        state = "not initialised" if not self.initialised else f"sealed, {self.progress} of {self.threshold} shares" if self.sealed else "unsealed"
        return f"{self.pod}: {state}"


@dataclass
class Vault:
    """Vault in one cluster. ``keys`` open and close the key file; none of its text, and no token, is ever told."""

    cluster: str
    kubectl: Kubectl
    connect: Connect
    keyfile: Path | None
    keys: Keys
    journal: Journal
    clock: Clock = field(default_factory=Clock)
    progress: Progress = field(default_factory=Progress)
    timeout: float = 600
    work: int = WORK

    # -- looking

    def pods(self) -> list[str]:
        """The members that run, by name. Raises BootstrapError when none does."""
        found = sorted(
            str(item["metadata"]["name"])
            for item in self.kubectl.list("pods", namespace=NAMESPACE, selector=MEMBERS)
            if (item.get("status") or {}).get("phase") == "Running"
        )
        if not found:
            raise UnreachableError("no member of Vault runs yet: `flux get kustomizations vault` says what it waits for")
        return found

    def wanted(self) -> int:
        """How many members there should be."""
        return int(((self.kubectl.get("statefulsets.apps", "vault", NAMESPACE) or {}).get("spec") or {}).get("replicas", 1))

    def member(self, pod: str) -> Member:
        with self.connect(pod) as ask:
            return _member(pod, _good(ask("GET", "sys/seal-status"), pod))

    def members(self) -> list[Member]:
        return [self.member(pod) for pod in self.pods()]

    def appear(self) -> None:
        """Wait until the first member answers."""
        waiter = self._waiter(lambda: self.member(self.pods()[0]), str)
        waiter.wait(lambda _member: True, successes=1, timeout=self.timeout, delay=3, what="the first member of Vault answers")

    def is_configured(self) -> bool:
        """Whether the Job has logged in and done its work at least once."""
        job = self.kubectl.get("jobs.batch", JOB, NAMESPACE) or {}
        if int((job.get("status") or {}).get("succeeded") or 0) > 0:
            return True
        return condition(self.kubectl.get(_KUSTOMIZATIONS, JOB, "flux-system"))[0] == "True"

    # -- the steps

    def up(self, script: Sequence[Command], shares: int, threshold: int, operators: Sequence[Operator] = (), *, until_unsealed: bool = False) -> bool:
        """All steps in their order. False when more keepers have to give their shares before the rest can be done.

        ``until_unsealed`` stops there, with the root token in the key file: for a snapshot that is to be restored.
        """
        self.appear()
        self.initialise(shares, threshold, operators)
        if not self.unseal():
            return False
        if until_unsealed:
            return True
        self.let_in(script)
        self.revoke()
        return True

    def initialise(self, shares: int, threshold: int, operators: Sequence[Operator] = ()) -> None:
        """Make Vault's keys, once, and put them into the key file before anything else is done.

        Raises:
            BootstrapError: the key file is in the way or cannot be written, or the numbers are not possible.
        """
        pod = self.pods()[0]
        with self.connect(pod) as ask:
            here = _member(pod, _good(ask("GET", "sys/seal-status"), pod))
            if here.initialised:
                self.journal.say("Vault is initialised")
                return
            path = self._path()
            if path.exists():
                raise BootstrapError(f"{path} is there, but Vault is not initialised: they are the keys of another or an earlier Vault. Move the file away")
            count = len(operators) or shares
            if not 1 <= threshold <= count or (threshold == 1 and count > 1):
                raise BootstrapError(
                    f"{threshold} of {count} shares: the threshold is 2 at least (1 where there is one share), and at most the number of shares"
                )
            check_writable(path)
            # A key that cannot be closed again must be found out before Vault is asked.
            make(self.cluster, here.seal, threshold, ["-"] * count, "-", self.keys, operators, work=self.work)
            kind = "recovery" if here.unseals_itself else "secret"
            answer = _good(ask("PUT", "sys/init", {f"{kind}_shares": count, f"{kind}_threshold": threshold}), pod)
            made = answer.get("recovery_keys_base64" if here.unseals_itself else "keys_base64")
            if not isinstance(made, list) or len(made) != count or not answer.get("root_token"):
                raise BootstrapError(f"{pod} answered the initialisation without {count} keys")
            make(self.cluster, here.seal, threshold, [str(key) for key in made], str(answer["root_token"]), self.keys, operators, work=self.work).write(path)
        what = "recovery keys" if here.unseals_itself else "shares"
        self.journal.changed(f"Vault is initialised: {count} {what}, {threshold} of them needed, in {path}. Keep copies")

    def unseal(self, given: Sequence[str] = ()) -> bool:
        """Give every sealed member the shares that can be opened, or those that are given. False when that was not enough.

        A member that unseals itself, or has yet to join, is waited for.
        """
        shares: list[str] | None = list(given) or None
        open_members: set[str] = set()
        complete = True

        def observe() -> list[Member]:
            nonlocal shares, complete
            found = self.members()
            for member in found:
                if member.sealed and member.initialised and not member.unseals_itself:
                    shares = self._shares() if shares is None else shares
                    if not self._feed(member.pod, shares):
                        complete = False
                elif not member.sealed:
                    open_members.add(member.pod)
            return found

        def settled(found: list[Member]) -> bool:
            return not complete or (len(found) >= self.wanted() and len(open_members) >= len(found))

        waiter = self._waiter(observe, lambda found: "; ".join(map(str, found)))
        found = waiter.wait(settled, error=_nobody_initialised, successes=1, timeout=self.timeout, delay=3, what="every member of Vault is unsealed")
        if complete:
            self.journal.say(f"Vault is unsealed: {', '.join(member.pod for member in found)}")
        return complete

    def let_in(self, script: Sequence[Command]) -> None:
        """Run the commands at the head of the configuration script, and wait until the Job has done its work.

        Raises:
            BootstrapError: the root token is gone, or Vault refuses something.
        """
        if self.is_configured():
            self.journal.say(f"the Job {JOB} has configured Vault")
            return
        token = self._root()
        with self._active() as (pod, ask):
            for command in script:
                if command.listing and command.entry in _entries(_good(ask("GET", command.listing, None, token), pod)):
                    self.journal.say(f"done already: {command}")
                    continue
                _good(ask(command.method, command.path, command.body, token), str(command))
                self.journal.changed(str(command))
        waiter = Waiter(self.is_configured, lambda done: f"{JOB} has done its work" if done else f"{JOB} is not through", self.progress, self.clock)
        waiter.wait(bool, successes=1, timeout=self.timeout, delay=5, what=f"the Job {JOB} configures Vault (kubectl -n {NAMESPACE} logs job/{JOB})")
        self.journal.say(f"the Job {JOB} has configured Vault")

    def revoke(self) -> None:
        """Revoke the root token in the key file, and take it out. Without a key file nothing is known of it, and nothing done."""
        if self.keyfile is None or not self.keyfile.exists():
            return
        content = read_keyfile(self.keyfile, self.cluster)
        if content.root is None:
            self.journal.say("the root token is revoked")
            return
        token = content.token(self.keys)
        with self._active() as (_pod, ask):
            answer = ask("POST", "auth/token/revoke-self", {}, token)
            if answer.status not in (200, 204, 403):  # 403: Vault does not know it any more
                raise BootstrapError(f"the root token is not revoked: {answer.errors}")
        content.without_root().write(self.keyfile)
        self.journal.changed(f"the root token is revoked, and no longer in {self.keyfile}")

    def new_root(self) -> None:
        """Make a root token with the shares, where Vault is configured to allow that, and put it into the key file."""
        content = self._content()
        shares = content.shares(self.keys)
        with self._active() as (_pod, ask):
            start = ask("PUT", "sys/generate-root/attempt", {})
            if start.status in (403, 404, 405):
                raise BootstrapError(f"this Vault makes no root tokens from shares (enable_unauthenticated_access lacks generate-root): {_BREAK_GLASS}")
            attempt = _good(Answer(start.status, start.body), "generate-root")
            answer: dict[str, Any] = {}
            for share in shares[: int(attempt.get("required", content.threshold))]:
                answer = _good(ask("PUT", "sys/generate-root/update", {"key": share, "nonce": attempt.get("nonce")}), "generate-root")
            if not answer.get("complete"):
                ask("DELETE", "sys/generate-root/attempt")
                needed = attempt.get("required", content.threshold)
                raise BootstrapError(f"{len(shares)} shares could be opened, {needed} are needed in one place to make a root token")
            token = _decoded(str(answer.get("encoded_token") or answer.get("encoded_root_token", "")), str(attempt.get("otp", "")))
        made = make(
            self.cluster,
            content.seal,
            content.threshold,
            [],
            token,
            Keys(self.keys.passphrase, [each.public_key() for each in self.keys.identities]),
            work=self.work,
        )
        KeyFile(content.cluster, content.seal, content.threshold, content.boxes, made.root).write(self._path())
        self.journal.changed(f"a root token is in {self._path()}, for those keys only that opened the shares now. Revoke it when the work is done")

    def snapshot(self, target: Path, token: str = "") -> int:
        """Save a snapshot into a file; it is encrypted with Vault's own key. Returns its bytes."""
        check_writable(target)
        if target.exists():
            raise BootstrapError(f"{target} is there already")
        with self._active() as (pod, ask):
            answer = ask("GET", "sys/storage/raft/snapshot", None, token or self._root())
            if answer.status != 200 or answer.body[:2] != b"\x1f\x8b":
                raise BootstrapError(f"{pod} gave no snapshot: {answer.errors}")
        handle = target.open("xb")
        with handle:
            target.chmod(0o600)
            handle.write(answer.body)
        self.journal.changed(f"{target}: snapshot of {len(answer.body)} bytes")
        return len(answer.body)

    def restore(self, source: Path, *, other_keys: bool, token: str = "") -> None:
        """Put a snapshot in the place of everything Vault holds. ``other_keys``: it is of a Vault that was initialised with other keys than this one."""
        try:
            data = source.read_bytes()
        except OSError as error:
            raise BootstrapError(f"{source}: {error.strerror}") from error
        if data[:2] != b"\x1f\x8b":
            raise BootstrapError(f"{source} is no snapshot of Vault")
        with self._active() as (pod, ask):
            _good(ask("PUT", f"sys/storage/raft/snapshot{'-force' if other_keys else ''}", data, token or self._root()), pod)
        self.journal.changed("the snapshot is restored" + (": unseal with the keys that its Vault had" if other_keys else ""))

    # -- the parts

    def _waiter(self, observe: Callable[[], T], describe: Callable[[T], str]) -> Waiter[T]:
        """A waiter for which a Vault that does not answer is one that does not answer yet."""

        def asked() -> T:
            try:
                return observe()
            except UnreachableError as error:
                raise RunError(("vault",), str(error)) from error

        return Waiter(asked, describe, self.progress, self.clock)

    def _path(self) -> Path:
        if self.keyfile is None:
            raise BootstrapError("say where Vault's keys are, or go to, with --keys FILE")
        return self.keyfile

    def _content(self) -> KeyFile:
        if not self._path().exists():
            raise BootstrapError(
                f"Vault is initialised, and {self._path()} with its keys is not there. Find it; a Vault that nobody has keys of and that was never configured "
                "is empty, and can be made anew (docs/operations.md, Vault without keys)"
            )
        return read_keyfile(self._path(), self.cluster)

    def _shares(self) -> list[str]:
        content = self._content()
        found = content.shares(self.keys)
        if not found:
            raise BootstrapError(f"{self._path()}: no share can be opened with the passphrase or key that was given")
        return found

    def _root(self) -> str:
        token = self._content().token(self.keys)
        if not token:
            raise BootstrapError(f"{self._path()} holds no root token any more: {_BREAK_GLASS}")
        return token

    def _feed(self, pod: str, shares: Sequence[str]) -> bool:
        """Give one member shares until it is unsealed."""
        with self.connect(pod) as ask:
            for share in shares:
                now = _member(pod, _good(ask("PUT", "sys/unseal", {"key": share}), pod))
                if not now.sealed:
                    self.journal.changed(f"{pod}: unsealed")
                    return True
            now = _member(pod, _good(ask("GET", "sys/seal-status"), pod))
        self.journal.changed(f"{now}. Another keeper has to give a share: bootstrap vault unseal")
        return False

    @contextmanager
    def leader(self) -> Iterator[str]:
        """The member that leads. Raises BootstrapError when none does."""
        with self._active() as (pod, _ask):
            yield pod

    @contextmanager
    def _active(self) -> Iterator[tuple[str, Transport]]:
        """A way to the member that leads. Raises BootstrapError when none does."""
        seen = []
        for pod in self.pods():
            with self.connect(pod) as ask:
                answer = ask("GET", "sys/leader")
                if answer.status == 200 and answer.json.get("is_self"):
                    yield pod, ask
                    return
                seen.append(f"{pod}: {'standby' if answer.status == 200 else answer.errors}")
        raise UnreachableError(f"no member of Vault leads: {'; '.join(seen)}")


def _member(pod: str, status: dict[str, Any]) -> Member:
    seal = str(status.get("type", _SHAMIR))
    return Member(pod, bool(status.get("initialized")), bool(status.get("sealed", True)), seal, int(status.get("t") or 0), int(status.get("progress") or 0))


def _nobody_initialised(found: list[Member]) -> str:
    return "" if any(member.initialised for member in found) else "no member is initialised"


def _good(answer: Answer, what: str) -> dict[str, Any]:
    if answer.status >= 400:
        raise BootstrapError(f"{what}: Vault refuses: {answer.errors}")
    return answer.json


def _entries(answer: dict[str, Any]) -> set[str]:
    """The names in a listing, which Vault gives under ``data`` and at the top."""
    data = answer.get("data")
    return {str(name) for name in (data if isinstance(data, dict) else answer)}


def _decoded(encoded: str, otp: str) -> str:
    """The token in the answer to the last share: base64 without padding, XOR with the one-time password."""
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except (ValueError, binascii.Error):
        data = b""
    if not data or len(data) != len(otp):
        raise BootstrapError("generate-root: the answer cannot be decoded")
    return bytes(one ^ other for one, other in zip(data, otp.encode(), strict=True)).decode("utf-8", "replace")
