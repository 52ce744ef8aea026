"""The bootstrap-from-empty proof: what an object needs is there before the object is (FLX203 to FLX209, FLX212).

Each need is proven through a chain of ``dependsOn`` and ``wait``. Flux retries, so a missing edge often heals itself: then it is a
warning. Where no retry helps, because the thing does not exist or two things wait for each other, it is an error.
Definitions, namespaces and webhooks: :mod:`harness.rules.order_api`, :mod:`harness.rules.order_webhook`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.flux.kinds import APPLIERS
from harness.flux.order import link_of
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.order_makers import may_be_elsewhere
from harness.rules.order_needs import NEEDY, POD_TEMPLATES, Topic, needs
from harness.rules.order_proof import missing_edge, producers, unproven, waits_for_consumer
from harness.rules.order_runtime import may_make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.order_needs import Need

FLX: Final = Registry()

_KUSTOMIZATIONS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_APPLIERS: Final = ("Kustomization.kustomize.toolkit.fluxcd.io", "HelmRelease.helm.toolkit.fluxcd.io")
#: Kinds that are ready whether or not anybody serves their class.
_NEVER_WAITING: Final = frozenset({"Ingress.networking.k8s.io"})


def _missing(item: Object, world: World, *topics: Topic) -> Iterator[Violation]:
    """One violation for every need of some topics that nothing in the cluster satisfies, where the cluster was read in full."""
    for need in _distinct(item, topics):
        if not producers(world, need) and not may_be_elsewhere(world, need.namespace or item.namespace) and not may_make(world, item, need):
            yield violation(item, *need.pointer, found=f"{need} ({need.role}) is made by nothing in this cluster", expect=f"something that makes {need}")


def _late(item: Object, world: World, *topics: Topic) -> Iterator[Violation]:
    """One violation for every need of some topics that something satisfies, but not provably in time."""
    for need in _distinct(item, topics):
        late = unproven(world, producers(world, need), item)
        if late is not None:
            producer, reason = late
            yield violation(
                item,
                *need.pointer,
                found=f"{need} ({need.role}) is made by {producer.kind} {producer.name} of {producer.applier}: {reason}",
                expect=missing_edge(producer, item),
            )


def _distinct(item: Object, topics: tuple[Topic, ...]) -> Iterator[Need]:
    seen: set[tuple[str, str, str]] = set()
    for need in needs(item):
        key = (need.kind, need.namespace, need.name)
        if need.topic in topics and key not in seen:
            seen.add(key)
            yield need


@FLX.rule(
    "FLX203",
    title="the Secrets and ConfigMaps of a pod are made before the pod",
    why="a pod whose Secret or ConfigMap is missing stays in ContainerCreating; its release runs into its timeout and is rolled back or uninstalled",
    fix="let the pod's Kustomization depend on the one that makes the Secret or ConfigMap, or set optional: true where the pod can do without",
    scope=Objects(tuple(POD_TEMPLATES), where=lambda item: not item.origin.synthesised),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def data_first(item: Object, world: World) -> Iterator[Violation]:
    yield from _missing(item, world, Topic.DATA)
    yield from _late(item, world, Topic.DATA)


@FLX.rule(
    "FLX204",
    title="the service account that pods run as exists",
    why="no pod of a workload is created while its account is missing",
    fix="put the ServiceAccount into the same Kustomization or release, or correct the name",
    scope=Objects(tuple(POD_TEMPLATES), where=lambda item: not item.origin.synthesised),
    controls=("NIST-AC-6", "NIST-CP-10"),
)
def account_exists(item: Object, world: World) -> Iterator[Violation]:
    yield from _missing(item, world, Topic.ACCOUNT)  # of releases and Kustomizations: HLM204, FLX113


@FLX.rule(
    "FLX205",
    title="a source is applied by what applies its user, or before it",
    why=f"a Kustomization or release whose source comes from something it does not wait for fails until that arrives ({_KUSTOMIZATIONS}, Source reference)",
    fix="put the source next to its user, or let the user's Kustomization depend on the one that has the source",
    scope=Objects((*_APPLIERS, "HelmChart.source.toolkit.fluxcd.io")),
    severity=Severity.WARNING,
)
def source_first(item: Object, world: World) -> Iterator[Violation]:
    yield from _late(item, world, Topic.SOURCE)


@FLX.rule(
    "FLX206",
    title="the priority class and runtime class of a pod exist",
    why="admission refuses a pod whose PriorityClass or RuntimeClass does not exist: the workload gets no pods at all",
    fix="add the class in a Kustomization the workload's one depends on, or use system-cluster-critical or none",
    scope=Objects(tuple(POD_TEMPLATES)),
)
def pod_classes_exist(item: Object, world: World) -> Iterator[Violation]:
    yield from _missing(item, world, Topic.POD_CLASS)


@FLX.rule(
    "FLX207",
    title="storage, ingress and gateway classes and issuers are applied before what names them",
    why="a claim, Ingress or Certificate without its class or issuer stays pending, and with it everything that waits for it",
    fix="let the user's Kustomization depend on the one that has the class or issuer",
    scope=Objects(
        ("PersistentVolumeClaim", "StatefulSet.apps", "Ingress.networking.k8s.io", "Gateway.gateway.networking.k8s.io", "Certificate.cert-manager.io")
    ),
    severity=Severity.WARNING,
)
def classes_first(item: Object, world: World) -> Iterator[Violation]:
    if str(item.group_kind) == "Certificate.cert-manager.io":
        yield from _missing(item, world, Topic.CLASS)  # storage, ingress and gateway classes often come with the cluster; an issuer never does
    yield from _late(item, world, Topic.CLASS)


@FLX.rule(
    "FLX208",
    title="what Flux reads (variables, values, keys, credentials) is made before what reads it",
    why="a Kustomization, release or source whose ConfigMap or Secret is not there yet fails and waits for its next interval, on every new cluster",
    fix="let the reader's Kustomization depend on the one that makes the ConfigMap or Secret",
    scope=Objects((*_APPLIERS, *(f"{kind}.source.toolkit.fluxcd.io" for kind in ("OCIRepository", "GitRepository", "HelmRepository", "Bucket")))),
    severity=Severity.WARNING,
)
def flux_inputs_first(item: Object, world: World) -> Iterator[Violation]:
    yield from _late(item, world, Topic.FLUX_INPUT)


@FLX.rule(
    "FLX209",
    title="nothing waits for something that waits for it",
    why="when the Kustomization that makes an object depends on one whose readiness needs that object, neither is ever ready: a cluster from empty stops there",
    fix="move the object into the Kustomization of its consumer, delete the dependsOn, or set wait: false and list healthChecks without the consumer",
    scope=Objects(tuple(kind for kind in NEEDY if kind not in _NEVER_WAITING), where=lambda item: not item.origin.synthesised),
    controls=("NIST-CP-10",),
)
def no_deadlock(item: Object, world: World) -> Iterator[Violation]:
    for need in needs(item):
        candidates = producers(world, need)
        circles = [waits_for_consumer(world, producer, item) for producer in candidates]
        if not circles or not all(circles):
            continue
        made_by, waited = candidates[0].applier, circles[0]
        own = link_of(item) if str(item.group_kind) in APPLIERS else None
        if made_by == own:
            found = f"{need} is made by {own} itself, which needs it to start"
        elif waited == own:
            found = f"{need} is made in {made_by}, which waits for {own}, which needs it to start"
        else:
            found = f"{need} is made in {made_by}, which waits for {waited}, which waits for {item.kind} {item.name}"
        yield violation(item, *need.pointer, found=found, expect=f"{need} without a dependency on its consumer")


@FLX.rule(
    "FLX212",
    title="service accounts and pod classes are applied before what uses them",
    why="until the account or class is there, no pod of the workload is created, and Flux is refused what it does as that account",
    fix="put the account or class into the same Kustomization or release, or let the user's Kustomization depend on the one that has it",
    scope=Objects((*POD_TEMPLATES, *_APPLIERS), where=lambda item: not item.origin.synthesised),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def accounts_and_classes_first(item: Object, world: World) -> Iterator[Violation]:
    yield from _late(item, world, Topic.ACCOUNT, Topic.POD_CLASS)


RULES: Final = tuple(FLX.rules)
