"""How far the bootstrap of a cluster is: every step, what was seen of it, and the command that does it. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509

from harness.live.bootstrap.base import BootstrapError, State, Step, condition
from harness.live.bootstrap.flux import KUSTOMIZATIONS, NAMESPACE, SOURCES, controllers, is_available, looks_after_itself, sync_objects
from harness.live.bootstrap.keyfile import read as read_keyfile
from harness.live.bootstrap.sealing import fingerprint, keys_of
from harness.live.bootstrap.values import certificate_of, outstanding
from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.live.bootstrap.vault import Vault
    from harness.live.reach.kubectl import Kubectl

#: Days before its end at which a sealing certificate is told of.
_NOTICE: Final = 30
_SHOWN: Final = 5


@dataclass
class Status:
    """One cluster's bootstrap. ``folder`` is the cluster's folder in the repository, ``sync`` the one of its sync root in there."""

    kubectl: Kubectl
    folder: Path
    sync: Path
    vault: Vault
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def steps(self) -> list[Step]:
        """The steps in the order in which they are done. What cannot be asked is *unknown*, with the reason."""
        common = f"--cluster {self.vault.cluster} --context {self.kubectl.context}"
        found: list[Step] = []
        looks: tuple[tuple[str, str, Callable[[], Iterator[tuple[State, str]]]], ...] = (
            ("sealing key", f"bootstrap sealing-key ensure {common} --backup FILE", self._sealing_key),
            ("sealed values", f"bootstrap seal {common.partition(' --context')[0]} --values FILE", self._sealed),
            ("flux", f"bootstrap flux {common}", self._flux),
            ("sync root", f"bootstrap flux {common}", self._sync),
            ("everything in Git", "flux get kustomizations", self._kustomizations),
            ("vault initialised", f"bootstrap vault up {common} --keys FILE", self._initialised),
            ("vault unsealed", f"bootstrap vault unseal {common} --keys FILE", self._unsealed),
            ("vault configured", f"bootstrap vault up {common} --keys FILE", self._configured),
            ("root token revoked", f"bootstrap vault revoke {common} --keys FILE", self._root),
        )
        for name, command, look in looks:
            try:
                state, text = next(look())
            except RunError as error:
                state, text = State.UNKNOWN, error.reason
            except BootstrapError as error:
                state, text = State.UNKNOWN, str(error)
            found.append(Step(name, state, text, "" if state is State.DONE else command))
        return found

    def _sealing_key(self) -> Iterator[tuple[State, str]]:
        committed = certificate_of(self.folder)
        ends = x509.load_pem_x509_certificate(committed.encode()).not_valid_after_utc
        here = {pair.fingerprint for pair in keys_of(self.kubectl)}
        mark = fingerprint(committed)
        if not here:
            yield State.TODO, "the cluster has none"
        if mark not in here:
            yield State.TODO, f"the cluster has {len(here)}, but not the one whose certificate {mark[:16]} is committed"
        if ends - self.now < timedelta(days=_NOTICE):
            yield State.TODO, f"the committed certificate {mark[:16]} ends on {ends:%Y-%m-%d}: add --rotate"
        yield State.DONE, f"{len(here)} in the cluster, the committed certificate {mark[:16]} among them"

    def _sealed(self) -> Iterator[tuple[State, str]]:
        missing = outstanding(self.folder)
        yield (State.TODO, f"{len(missing)} not sealed for the committed certificate") if missing else (State.DONE, "sealed for the committed certificate")

    def _flux(self) -> Iterator[tuple[State, str]]:
        here = controllers(self.kubectl)
        if not here:
            yield State.TODO, "the cluster has none"
        late = sorted(str(item["metadata"]["name"]) for item in here if not is_available(item))
        if late:
            yield State.WAITING, f"not available: {', '.join(late)}"
        yield State.DONE, f"{len(here)} controllers{', looking after themselves' if looks_after_itself(here) else ''}"

    def _sync(self) -> Iterator[tuple[State, str]]:
        root, source = sync_objects(self.kubectl, self.sync)
        pulled = self.kubectl.get(SOURCES[source["kind"]], source["metadata"]["name"], NAMESPACE)
        built = self.kubectl.get(KUSTOMIZATIONS, root["metadata"]["name"], NAMESPACE)
        if pulled is None or built is None:
            yield State.TODO, "the cluster has none"
        for item in (pulled, built):
            state, message = condition(item)
            if state != "True":
                yield State.WAITING, f"{(item or {}).get('kind')}: {message or 'nothing yet'}"
        yield State.DONE, str(((built or {}).get("status") or {}).get("lastAppliedRevision", ""))

    def _kustomizations(self) -> Iterator[tuple[State, str]]:
        items = self.kubectl.list(KUSTOMIZATIONS)
        late = sorted(f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items if condition(item)[0] != "True")
        suspended = sorted(str(item["metadata"]["name"]) for item in items if (item.get("spec") or {}).get("suspend"))
        if not items:
            yield State.TODO, "Flux has nothing to build yet"
        if suspended:
            yield State.WAITING, f"suspended: {', '.join(suspended)}"
        if late:
            more = f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else ""
            yield State.WAITING, f"{len(items) - len(late)} of {len(items)} Kustomizations ready; not {', '.join(late[:_SHOWN])}{more}"
        yield State.DONE, f"{len(items)} Kustomizations ready"

    def _initialised(self) -> Iterator[tuple[State, str]]:
        here = self.vault.member(self.vault.pods()[0])
        by = f"unseals itself with {here.seal}" if here.unseals_itself else f"{here.threshold} shares open it"
        yield (State.DONE, by) if here.initialised else (State.TODO, str(here))

    def _unsealed(self) -> Iterator[tuple[State, str]]:
        members, wanted = self.vault.members(), self.vault.wanted()
        sealed = [member for member in members if member.sealed]
        text = "; ".join(map(str, members))
        if len(members) < wanted:
            yield State.WAITING, f"{len(members)} of {wanted} members run; {text}"
        if any(not member.initialised or member.unseals_itself for member in sealed):
            yield State.WAITING, text
        yield State.TODO if sealed else State.DONE, text

    def _configured(self) -> Iterator[tuple[State, str]]:
        yield (State.DONE, "the Job vault-config has done its work") if self.vault.is_configured() else (State.TODO, "the Job vault-config is not through")

    def _root(self) -> Iterator[tuple[State, str]]:
        if self.vault.keyfile is None:
            raise BootstrapError("give --keys FILE to see")
        content = read_keyfile(self.vault.keyfile, self.vault.cluster)
        yield (State.DONE, f"{self.vault.keyfile} has none any more") if content.root is None else (State.TODO, f"{self.vault.keyfile} holds one, encrypted")
