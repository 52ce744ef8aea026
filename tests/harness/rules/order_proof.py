"""How a rule asks whether one object is there before another, and how it says which ``dependsOn`` is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from harness.flux.kinds import APPLIERS
from harness.flux.order import Proof, link_of
from harness.rules.hlm_common import mapping
from harness.rules.order_makers import makers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.flux.world import World
    from harness.model import Link, Object, ObjectId
    from harness.rules.order_needs import Need

#: Kinds that are themselves what a need names: they exist as soon as they are applied.
_PLAIN: Final = frozenset({"Secret", "ConfigMap"})


_proofs: Final[WeakKeyDictionary[World, dict[tuple[ObjectId, tuple[Link, ...]], Proof]]] = WeakKeyDictionary()


def before(world: World, producer: Object, consumer: Object) -> Proof:
    """:meth:`harness.flux.order.Order.available_before`, remembered for all objects of one chain: it depends on nothing else of them."""
    known = _proofs.setdefault(world, {})
    key = (producer.id, consumer.origin.chain)
    if key not in known:
        proof = world.order.available_before(producer, consumer)
        known[key] = proof if proof.holds or _is_waited_for(world, producer, consumer) else Proof(False, f"nothing makes it wait for {producer.applier}")
    return known[key]


def _is_waited_for(world: World, producer: Object, consumer: Object) -> bool:
    """Whether the consumer waits for any applier of the producer, or shares its last: then the order's own reason says what is missing."""
    waits = frozenset().union(*(world.order.waits_for(link) for link in consumer.origin.chain))
    return producer.applier in consumer.origin.chain or not waits.isdisjoint(producer.origin.chain)


def start_of(item: Object) -> Object:
    """What stands for the moment an object begins its work: an applier does once its own ``dependsOn`` are ready, anything else at once.

    For an applier that is an object with the applier's identity that the applier itself would apply.
    """
    if str(item.group_kind) not in APPLIERS:
        return item
    return replace(item, origin=replace(item.origin, chain=(*item.origin.chain, link_of(item))))


def is_bootstrapped(world: World, producer: Object) -> bool:
    """Whether an object is there before Flux applies anything: Flux's own manifests, and the source of the cluster's sync."""
    if producer.applier is None or producer.labels.get("app.kubernetes.io/part-of") == "flux":
        return True
    if producer.applier.kind == "HelmRelease" and producer.applier in world.order.bootstrapped:
        return True  # a release that upgrades Flux or its operator was installed by hand the first time
    sync = world.cluster.sync
    source = mapping(sync.get("spec", "sourceRef")) if sync is not None else {}
    return sync is not None and (producer.kind, producer.name, producer.namespace) == (
        source.get("kind"),
        source.get("name"),
        source.get("namespace") or sync.namespace,
    )


def producers(world: World, need: Need) -> tuple[Object, ...]:
    """The objects that satisfy a need once they are there."""
    if need.kind in _PLAIN:
        return tuple(made.maker for made in makers(world).of(need.kind, need.namespace, need.name))
    found = world.find(need.kind, need.namespace, need.name)
    return (found,) if found is not None else ()


def unproven(world: World, candidates: Sequence[Object], consumer: Object) -> tuple[Object, str] | None:
    """None when one of the candidates is proven to be there before the consumer; otherwise the first one and why it is not.

    What the same Kustomization or release applies counts as there: both arrive in one go, and the consumer needs no retry of
    the applier. So does what the Kustomization above applies in the go that leads to the consumer.
    """
    first: tuple[Object, str] | None = None
    for producer in candidates:
        if is_bootstrapped(world, producer) or producer.applier in consumer.origin.chain:
            return None
        proof = before(world, producer, start_of(consumer))
        if proof.holds:
            return None
        first = first or (producer, proof.reason)
    return first


def missing_edge(producer: Object, consumer: Object) -> str:
    """The ``dependsOn`` that would prove it: the first appliers in which the two chains differ."""
    left, right = steps_apart(producer, start_of(consumer))
    if left is None or right is None:
        return "both in one Kustomization cannot be ordered: move one into a Kustomization of its own"
    if left.kind == right.kind:
        return f"{right} dependsOn {left.namespace + '/' if left.namespace != right.namespace else ''}{left.name}, and {left} with wait: true"
    return f"what applies {right} dependsOn what applies {left}: a {right.kind} cannot depend on a {left.kind}"


def steps_apart(producer: Object, consumer: Object) -> tuple[Link | None, Link | None]:
    """The first links in which two chains differ; None where a chain ends before that."""
    one, other = producer.origin.chain, consumer.origin.chain
    common = 0
    while common < min(len(one), len(other)) and one[common] == other[common]:
        common += 1
    return (one[common] if common < len(one) else None), (other[common] if common < len(other) else None)


def waits_for_consumer(world: World, producer: Object, consumer: Object) -> Link | None:
    """The applier that both must be ready before the producer is applied and is ready only once the consumer is; None without a deadlock."""
    if producer.applier is None or is_bootstrapped(world, producer) or producer.applier in consumer.origin.chain:
        return None
    waited = world.order.waits_for(producer.applier)
    if str(consumer.group_kind) in APPLIERS and link_of(consumer) in (*waited, producer.applier):
        return link_of(consumer)  # an applier that cannot start is never ready
    item: Object | None = consumer
    while item is not None and item.applier is not None:
        link = item.applier
        if not world.order.proves_ready(link, item):
            return None
        if link in waited:
            return link
        item = world.order.nodes.get(link)
        if item is not None and item.applier == link:
            return None
    return None
