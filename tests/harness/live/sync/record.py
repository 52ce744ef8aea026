"""What happened while a cluster came up from empty: every complaint of Flux and of what it applied, and when each Kustomization was seen, begun and ready.

Taken once, when the run that made the cluster has it up, from the events of the API server and the logs of the controllers, and kept beside the kubeconfig:
an hour later the events are gone, and proofs have broken things on purpose.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.live.ground.cluster import RECORD
from harness.live.reach.run import RunError
from harness.live.sync.readiness import Key
from harness.live.sync.reconcile import moment
from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl

_NAMESPACE: Final = "flux-system"
#: The controllers that apply things, with the kind that they reconcile.
_CONTROLLERS: Final = {"kustomize-controller": "Kustomization", "helm-controller": "HelmRelease"}
_BEGUN: Final = "All dependencies are ready"
_READY: Final = "Reconciliation finished"


@dataclass(frozen=True, slots=True)
class Complaint:
    """Somebody could not do something. ``when`` is RFC 3339; ``reason`` is the event's, or ``log``."""

    kind: str
    namespace: str
    name: str
    reason: str
    message: str
    when: str

    @property
    def key(self) -> Key:
        """What it is about."""
        return Key(self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.when} {self.key} {self.reason}: {' '.join(self.message.split())[:300]}"


@dataclass
class Step:
    """When a Kustomization was first met, began (its dependencies were ready; empty without any), and was first ready (empty: not yet)."""

    seen: str = ""
    begun: str = ""
    ready: str = ""

    @property
    def waited(self) -> float:
        """Seconds for which it waited for others."""
        return _between(self.seen, self.begun) if self.begun else 0.0

    @property
    def took(self) -> float:
        """Seconds from its beginning until it was ready."""
        return _between(self.begun or self.seen, self.ready)


@dataclass
class Record:
    """One bootstrap. ``cluster`` is the identity of the cluster that it is of; ``steps`` go by ``namespace/name``."""

    cluster: str
    complaints: list[Complaint] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, kept: str) -> Record:
        """What :meth:`text` wrote. Raises ValueError for anything else."""
        try:
            body = json.loads(kept)
            steps = {name: Step(**step) for name, step in body["steps"].items()}
            return cls(body["cluster"], [Complaint(**item) for item in body["complaints"]], steps)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is no record of a bootstrap: {error}") from error


def remember(cluster: Cluster) -> None:
    """Take the record of a cluster that this run made, once, and keep it: an upgrade later is no way up from empty.

    A cluster that another run made has its record, or none; so has one that cannot be asked.
    """
    path = cluster.folder / RECORD
    if cluster.made and remembered(cluster) is None:
        path.unlink(missing_ok=True)
        with suppress(RunError):
            path.write_text(taken(cluster.kubectl).text(), encoding="utf-8")


def remembered(cluster: Cluster) -> Record | None:
    """The record of a cluster's bootstrap. None where there is none of this very cluster."""
    try:
        record = Record.read((cluster.folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record.cluster == identity(cluster.kubectl) else None


def identity(kubectl: Kubectl) -> str:
    """What tells a cluster from one that was made later under its name."""
    return text(mapping((kubectl.get("namespaces", "kube-system") or {}).get("metadata")).get("uid"))


def taken(kubectl: Kubectl) -> Record:
    """The record of all that happened so far. Raises RunError when the events cannot be listed."""
    record = Record(identity(kubectl), complaints_of(kubectl.list("events")))
    for name, kind in _CONTROLLERS.items():
        try:
            said = kubectl("logs", f"deployment/{name}", f"--namespace={_NAMESPACE}", "--tail=-1", timeout=60)
        except RunError:
            continue
        note(record, kind, said.splitlines())
    return record


def complaints_of(events: Iterable[Mapping[str, Any]]) -> list[Complaint]:
    """The warnings among some events, oldest first. Reports of policies are about what is there, not about what could not be done."""
    found = []
    for event in events:
        about = mapping(event.get("involvedObject"))
        reason = text(event.get("reason"))
        if event.get("type") == "Warning" and reason != "PolicyViolation":
            when = text(event.get("firstTimestamp")) or text(event.get("eventTime"))
            key = (text(about.get("kind")), text(about.get("namespace")), text(about.get("name")))
            found.append(Complaint(*key, reason, text(event.get("message")), when))
    return sorted(found, key=lambda item: item.when)


def note(record: Record, kind: str, lines: Iterable[str]) -> None:
    """Put what a controller's log says into a record."""
    for line in lines:
        try:
            entry = mapping(json.loads(line))
        except ValueError:
            continue
        namespace, name, message, when = (text(entry.get(part)) for part in ("namespace", "name", "msg", "ts"))
        if not name:
            continue
        if entry.get("level") == "error":
            record.complaints.append(Complaint(kind, namespace, name, "log", text(entry.get("error")) or message, when))
        if kind == "Kustomization":
            step = record.steps.setdefault(f"{namespace}/{name}", Step(when))
            if message.startswith(_BEGUN) and not step.ready:
                step.begun = step.begun or when
            elif message.startswith(_READY):
                step.ready = step.ready or when


def _between(first: str, last: str) -> float:
    return (moment(last) - moment(first)).total_seconds() if first and last else 0.0
