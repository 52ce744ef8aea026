"""What Flux says of every object it reconciles, and the root cause of what is not ready.

Sources: Kustomization v1, HelmRelease v2 and source v1 ``status.conditions`` (fluxcd/pkg/apis/meta); a status counts only for the generation it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: The kinds as kubectl takes them.
KINDS: Final = (
    "kustomizations.kustomize.toolkit.fluxcd.io",
    "helmreleases.helm.toolkit.fluxcd.io",
    "ocirepositories.source.toolkit.fluxcd.io",
    "helmrepositories.source.toolkit.fluxcd.io",
    "gitrepositories.source.toolkit.fluxcd.io",
    "helmcharts.source.toolkit.fluxcd.io",
)
#: Reasons with which an object waits for another one and is not itself the cause.
_WAITING: Final = ("DependencyNotReady", "ArtifactNotFound", "SourceNotReady", "NoSourceArtifact")
#: Reasons of what is at work all the same: a newer revision has come while it waited for what the last one applied.
_AT_WORK: Final = ("Progressing", "ProgressingWithRetry", "HealthCheckCanceled")
_SHORT: Final = 300


class Key(NamedTuple):
    """An object of the cluster; prints as ``Kind/namespace/name``."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class State(StrEnum):
    """How far an object is."""

    READY = "ready"
    PROGRESSING = "progressing"
    WAITING = "waiting"
    FAILED = "failed"
    SUSPENDED = "suspended"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Status:
    """One object as Flux reports it. ``revision`` is what it has applied or holds; ``needs`` what it cannot be ready without."""

    key: Key
    state: State
    message: str = ""
    revision: str = ""
    needs: frozenset[Key] = frozenset()

    def __str__(self) -> str:
        return f"{self.key}: {self.state}{f': {self.message}' if self.message else ''}"


class Tree:
    """Every object that Flux reconciles, and those that are expected and not there."""

    def __init__(
        self, bodies: Iterable[Mapping[str, Any]], expected: Mapping[Key, Key | None] | None = None, revisions: Mapping[Key, str] | None = None
    ) -> None:
        """``expected``: what is to be there, each with the Kustomization that applies it (None: nobody does). ``revisions``: what some of it is to be at."""
        self.statuses = {status.key: status for status in map(status_of, bodies)}
        for key, wanted in (revisions or {}).items():
            found = self.statuses.get(key)
            if found is not None and found.state is State.READY and found.revision != wanted:
                self.statuses[key] = replace(found, state=State.PROGRESSING, message=f"still at {found.revision or 'nothing'}")
        for key, maker in (expected or {}).items():
            there = self.statuses.get(key)
            if there is None:
                self.statuses[key] = Status(key, State.ABSENT, "not there yet", needs=frozenset({maker} if maker is not None else ()))
            elif maker in self.statuses and there.state is not State.READY and self.statuses[maker].state is State.PROGRESSING:
                # One that waits for what it applied is not the cause; what it waits for is.
                self.statuses[maker] = replace(self.statuses[maker], needs=self.statuses[maker].needs | {key})

    def __iter__(self) -> Iterator[Status]:
        return iter(self.statuses[key] for key in sorted(self.statuses))

    @property
    def ready(self) -> bool:
        """Whether everything is; nothing at all is not."""
        return bool(self.statuses) and all(status.state is State.READY for status in self)

    @property
    def unready(self) -> list[Status]:
        """What is not ready."""
        return [status for status in self if status.state is not State.READY]

    def causes(self) -> list[Status]:
        """Root causes first: what is not ready although everything it needs is. Failed ones come before those that are on their way.

        Where objects wait for each other in a circle, all of the circle.
        """
        unready = {status.key for status in self.unready}
        found = [self.statuses[key] for key in sorted(unready) if not self.statuses[key].needs & unready]
        if unready and not found:
            found = [self.statuses[key] for key in sorted(unready) if self._reaches(key, key)]
        order = (State.FAILED, State.SUSPENDED, State.PROGRESSING, State.WAITING, State.ABSENT)
        return sorted(found, key=lambda status: (order.index(status.state), status.key))

    def behind(self, cause: Key) -> list[Key]:
        """What waits for an object, directly or not."""
        return [status.key for status in self.unready if status.key != cause and self._reaches(status.key, cause)]

    def _reaches(self, start: Key, goal: Key) -> bool:
        pending, seen = [start], set()
        while pending:
            status = self.statuses.get(pending.pop())
            for need in status.needs if status is not None else ():
                if need == goal:
                    return True
                if need not in seen:
                    seen.add(need)
                    pending.append(need)
        return False

    def summary(self, limit: int = 3) -> str:
        """One line for the progress: how many are ready, and what the others wait for."""
        total = len(self.statuses)
        causes = [f"{status.key} ({status.message[:80]})" if status.message else str(status.key) for status in self.causes()]
        more = f" and {len(causes) - limit} more" if len(causes) > limit else ""
        return f"{total - len(self.unready)} of {total} ready" + (f"; waiting for {', '.join(causes[:limit])}{more}" if causes else "")

    def report(self) -> str:
        """Everything that is not ready, root causes first, each with what waits for it."""
        lines = [f"{len(self.statuses) - len(self.unready)} of {len(self.statuses)} ready"]
        causes = self.causes()
        for status in causes:
            lines.append(f"cause    {status}")
            behind = self.behind(status.key)
            if behind:
                shown = ", ".join(map(str, behind[:6]))
                lines.append(f"         {len(behind)} wait for it: {shown}{' ...' if len(behind) > 6 else ''}")
        told = {status.key for status in causes}
        lines += [f"waiting  {status}" for status in self.unready if status.key not in told]
        return "\n".join(lines)


def status_of(body: Mapping[str, Any]) -> Status:
    """The status of one object as the API server returned it. An object of any shape has one."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    key = Key(text(body.get("kind")), text(metadata.get("namespace")), text(metadata.get("name")))
    needs = _needs(key, spec)
    revision = _revision(key.kind, status)
    if spec.get("suspend") is True:
        return Status(key, State.SUSPENDED, "suspended", revision, needs)
    if key.kind == "HelmRepository" and spec.get("type") == "oci":
        # Nothing is fetched until a chart is: source-controller gives it no status.
        return Status(key, State.READY, "", revision, needs)
    conditions = {text(item.get("type")): item for item in map(mapping, items(status.get("conditions")))}
    ready = conditions.get("Ready", {})
    message = " ".join(text(ready.get("message")).split())[:_SHORT]
    generation = metadata.get("generation")
    if not ready:
        return Status(key, State.PROGRESSING, "not reconciled yet", revision, needs)
    if ready.get("status") == "True":
        if _older(status.get("observedGeneration"), generation):
            return Status(key, State.PROGRESSING, f"generation {generation} not reconciled yet", revision, needs)
        return Status(key, State.READY, "", revision, needs)
    if _older(ready.get("observedGeneration"), generation):
        return Status(key, State.PROGRESSING, f"generation {generation} not reconciled yet", revision, needs)
    reason = text(ready.get("reason"))
    if reason in _WAITING:
        return Status(key, State.WAITING, message, revision, needs)
    progressing = ready.get("status") == "Unknown" or reason in _AT_WORK
    stalled = mapping(conditions.get("Stalled")).get("status") == "True"
    return Status(key, State.PROGRESSING if progressing and not stalled else State.FAILED, message or reason, revision, needs)


def _older(observed: object, generation: object) -> bool:
    """Whether what was observed is an earlier generation; -1 is none at all."""
    return isinstance(generation, int) and isinstance(observed, int) and observed < generation


def _needs(key: Key, spec: Mapping[str, Any]) -> frozenset[Key]:
    found = set()
    for entry in map(mapping, items(spec.get("dependsOn"))):
        found.add(Key(key.kind, text(entry.get("namespace")) or key.namespace, text(entry.get("name"))))
    chart = mapping(mapping(spec.get("chart")).get("spec"))
    for reference in map(mapping, (spec.get("sourceRef"), spec.get("chartRef"), chart.get("sourceRef"))):
        if reference.get("kind") and reference.get("name"):
            found.add(Key(text(reference["kind"]), text(reference.get("namespace")) or key.namespace, text(reference["name"])))
    return frozenset(found)


def _revision(kind: str, status: Mapping[str, Any]) -> str:
    if kind == "Kustomization":
        return text(status.get("lastAppliedRevision"))
    if kind == "HelmRelease":
        history = items(status.get("history"))
        return text(mapping(history[0] if history else None).get("chartVersion"))
    return text(mapping(status.get("artifact")).get("revision"))
