"""What was tried in vain while a cluster came up, held against the order proof: nothing may have been missing that the proof says was there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.live.sync.reconcile import moment
from harness.model import GroupKind
from harness.rules.order_api import definitions, has_definition
from harness.rules.order_makers import makers
from harness.rules.order_needs import POD_TEMPLATES, needs
from harness.rules.order_proof import before, start_of
from harness.rules.order_webhook import guards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.flux.world import World
    from harness.live.sync.record import Complaint, Record
    from harness.model import Object

_NO_KIND: Final = re.compile(r'no matches for kind "(?P<kind>[^"]+)" in version "(?:(?P<group>[^"/]+)/)?[^"/]+"')
_NOT_FOUND: Final = re.compile(r'(?P<kind>[A-Za-z]+)(?:\.[a-z0-9.]+)?:? "(?:(?P<namespace>[^"/]+)/)?(?P<name>[^"/]+)" not found')
_NO_HOOK: Final = re.compile(r'failed calling webhook "(?P<name>[^"]+)"')
_MADE: Final = ("secret", "configmap")


class Missing(NamedTuple):
    """What a complaint says is not there. ``kind`` in lower case and singular; ``webhook`` and ``definition`` are kinds of their own."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class Refuted(NamedTuple):
    """A claim of the order proof that did not come true: who missed what, what makes it, and why it was said to be there."""

    consumer: Object
    missing: Missing
    producer: Object
    reason: str
    complaint: Complaint


def missing_of(complaint: Complaint) -> list[Missing]:
    """Everything that a complaint says is missing."""
    message = complaint.message
    found = [Missing("definition", match["group"] or "", match["kind"]) for match in _NO_KIND.finditer(message)]
    found += [Missing("webhook", "", match["name"]) for match in _NO_HOOK.finditer(message)]
    for match in _NOT_FOUND.finditer(message):
        kind = match["kind"].lower()
        found.append(Missing(kind.removesuffix("s") if kind not in ("ingress", "class") else kind, match["namespace"] or complaint.namespace, match["name"]))
    return found


def refuted(world: World, complaints: Sequence[Complaint]) -> list[Refuted]:
    """The complaints about something that the order proof says was there before. What it makes no claim about may be tried again."""
    found = []
    for complaint in complaints:
        consumer = consumer_of(world, complaint)
        if consumer is None:
            continue
        for missing in missing_of(complaint):
            claim = next(_claims(world, consumer, missing), None)
            if claim is not None:
                found.append(Refuted(consumer, missing, *claim, complaint))
    return found


def claimed(world: World) -> list[tuple[Object, Missing, str]]:
    """What the order proof claims to be there before an object of a cluster's build begins: the object, what it needs, and why that is there."""
    found = []
    for consumer in world.objects:
        wanted = [Missing(need.kind.partition(".")[0].lower(), need.namespace, need.name) for need in needs(consumer)]
        if has_definition(consumer):
            wanted.append(Missing("definition", consumer.group, consumer.kind))
        for missing in wanted:
            claim = next(_claims(world, consumer, missing), None)
            if claim is not None:
                found.append((consumer, missing, claim[1]))
    return found


def consumer_of(world: World, complaint: Complaint) -> Object | None:
    """The object of a cluster's build that a complaint is about: itself, or the workload of a pod. None for what is not in the build."""
    if complaint.kind == "Pod":
        owners = [item for item in world.of(*POD_TEMPLATES) if item.namespace == complaint.namespace and complaint.name.startswith(f"{item.name}-")]
        return max(owners, key=lambda item: len(item.name), default=None)
    wanted = (complaint.kind, complaint.namespace, complaint.name)
    return next((item for item in world.objects if (item.kind, item.namespace, item.name) == wanted or _scoped(item, wanted)), None)


def out_of_order(world: World, record: Record) -> list[str]:
    """The Kustomizations that began before one that they depend on was ready, one line each."""
    found = []
    for item in world.of(KUSTOMIZATION):
        step = record.steps.get(f"{item.namespace}/{item.name}")
        for entry in item.get("spec", "dependsOn", default=[]):
            need = f"{entry.get('namespace') or item.namespace}/{entry['name']}"
            ready = record.steps[need].ready if need in record.steps else ""
            # What has not begun in the record did not do so too early.
            if step is not None and step.begun and (not ready or moment(ready) > moment(step.begun)):
                found.append(f"{item.namespace}/{item.name} began at {step.begun}, {need} was ready {f'at {ready}' if ready else 'at no time'}")
    return found


def times(record: Record) -> list[str]:
    """How long each Kustomization took, the longest first: what waited is not what is slow."""
    done = [(step.took, step.waited, name) for name, step in record.steps.items() if step.ready]
    return [f"{name}: {took:.0f} s, after {waited:.0f} s of waiting for others" for took, waited, name in sorted(done, reverse=True)]


def _claims(world: World, consumer: Object, missing: Missing) -> Iterator[tuple[Object, str]]:
    """Why the order proof says that something was there, by what makes it."""
    start = start_of(consumer)
    for producer in _producers(world, missing):
        # What is applied in one go with its consumer, or leads to it, is claimed to come along, not to be there first.
        if producer.id == consumer.id or producer.applier in start.origin.chain:
            continue
        proof = before(world, producer, start)
        if proof.holds:
            yield producer, proof.reason


def _producers(world: World, missing: Missing) -> list[Object]:
    if missing.kind == "definition":
        return definitions(world).get(GroupKind(missing.namespace, missing.name), [])
    if missing.kind == "webhook":
        return [server for guard in guards(world) if guard.name == missing.name for server in guard.servers]
    if missing.kind in _MADE:
        kind = "Secret" if missing.kind == "secret" else "ConfigMap"
        return [made.maker for made in makers(world).of(kind, missing.namespace, missing.name)]
    return [item for item in world.objects if item.kind.lower() == missing.kind and item.name == missing.name and item.namespace in ("", missing.namespace)]


def _scoped(item: Object, wanted: tuple[str, str, str]) -> bool:
    """Whether an object without a namespace is meant: events about one are kept in a namespace all the same."""
    return not item.namespace and (item.kind, item.name) == (wanted[0], wanted[2]) and str(item.group_kind) not in (KUSTOMIZATION, HELM_RELEASE)
