"""From an empty kind cluster to the platform: registry, overlay, Flux, sealing key, sync root, and the wait for Flux. Every step may be done again."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, source_kind
from harness.flux.sources import reference_of
from harness.live.account import Span
from harness.live.bootstrap.base import Journal
from harness.live.bootstrap.flux import ensure_flux, ensure_sync
from harness.live.bootstrap.sealing import Pair, keys_of, new_pair, restore
from harness.live.diagnose import explain
from harness.live.faults import TEMPORARY, leftovers
from harness.live.ground.beside import IMAGE, Container, host_of, publish
from harness.live.ground.facts import Facts, facts_of, subnet_of
from harness.live.ground.flux import flux_objects, installer
from harness.live.ground.oci import Registry
from harness.live.ground.overlay import SOURCES, Overlay, OverlayError, closed, needed, overlay
from harness.live.ground.proof import differences, rebuilt
from harness.live.ground.sealing import Sealed, seal_all
from harness.live.ground.vault import VaultUp
from harness.live.reach.forwards import Forwards
from harness.live.reach.wait import Clock, Progress, Waiter, WaitError, wait
from harness.live.reach.watch import bell
from harness.live.red import Red, red
from harness.live.secrets.sealed_keys import recover
from harness.live.sync.readiness import KINDS, Key, Tree
from harness.live.sync.reconcile import ask
from harness.live.sync.record import remember
from harness.model import NotEvaluated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.live.ground.cluster import Cluster
    from harness.live.ground.overlay import Beside
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

T = TypeVar("T")
#: What ``--phase`` can name: a run stops after it.
PHASES: Final = ("cluster", "registry", "overlay", "flux", "key", "sync", "ready")
_ROLLOUT: Final = 300.0
#: The kinds whose changes are worth a look before its time.
_RUNG_BY: Final = KINDS[:2]


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the platform this run brings up, and how long it may take (seconds)."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    phase: str = "ready"
    timeout: float = 1500
    registry_image: str = ""
    upgrade_from: str = ""


@dataclass
class Times:
    """When the phases of a run were, counted in seconds from its beginning, and how long after the sync each object of Flux was first ready."""

    phases: dict[str, Span] = field(default_factory=dict)
    objects: dict[Key, float] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of a block, also of one that fails."""
        start = self.clock.now()
        try:
            yield
        finally:
            self.phases[name] = Span(name, start - self.began, self.clock.now() - start)

    def saw(self, tree: Tree, since: float) -> None:
        """Note what is ready for the first time."""
        unready = {status.key for status in tree.unready}
        for key in tree.statuses.keys() - unready - self.objects.keys():
            self.objects[key] = self.clock.now() - since


@dataclass(repr=False)
class Platform:
    """What runs, and what it was made of. ``world`` is the cluster as built with its overlay; ``tree`` the last that Flux said."""

    cluster: Cluster
    world: World
    workspace: Workspace
    choice: Choice = field(default_factory=Choice)
    beside: Beside | None = None
    overlay: Overlay | None = None
    facts: Facts | None = None
    sealed: Sealed | None = None
    pair: Pair | None = field(default=None, repr=False)
    journal: Journal = field(default_factory=Journal)
    tree: Tree | None = None
    times: Times = field(default_factory=Times)
    phase: str = "cluster"
    reds: list[Red] = field(default_factory=list)
    entries: list[NotEvaluated] = field(default_factory=list)
    """What this run did not look at, with the reasons."""
    notes: list[str] = field(default_factory=list)
    """What proofs want said in the report whatever their result: seeds, numbers of probes."""
    seed: int = field(default_factory=lambda: int(datetime.now(UTC).strftime("%Y%m%d")))
    """What random samples start from: another one each day, and the same for who repeats a run (``--seed``)."""
    failure: str = ""
    """Why Flux did not become ready in time, with the root causes; empty when it did, or was not waited for."""

    whole: World = field(init=False)
    """The cluster as Git has it, with what this run leaves out."""
    _made: dict[Any, Any] = field(default_factory=dict)
    _locks: dict[Any, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.whole = self.world

    def __repr__(self) -> str:
        # pytest shows the arguments of what fails: what is sealed is nothing to show, and the rest too much.
        return f"Platform({self.world.cluster.name}, {self.phase})"

    @cached_property
    def forwards(self) -> Forwards:
        """The open ways into the cluster."""
        return Forwards(self.cluster.kubectl)

    def red(
        self,
        hop: str,
        fault: str,
        breaking: AbstractContextManager[object],
        probe: Callable[[], str],
        *,
        broken_within: float = 60,
        mended_within: float = 120,
        delay: float = 1.0,
    ) -> None:
        """A red proof, see :func:`harness.live.red.red`; what was seen goes into the run's list."""
        self.reds.append(red(hop, fault, breaking, probe, broken_within=broken_within, mended_within=mended_within, delay=delay))

    def random(self) -> random.Random:
        """A fresh source of random samples, the same each time in a run."""
        return random.Random(self.seed)  # noqa: S311 - samples, not secrets

    def once(self, make: Callable[[Platform], T]) -> T:
        """What ``make`` makes of this run, made once: what several proofs look at together. The others wait for the first."""
        with self._lock:
            lock = self._locks.setdefault(make, threading.Lock())
        with lock:
            if make not in self._made:
                self._made[make] = make(self)
            found: T = self._made[make]
            return found

    def left_open(self, subject: Object | str, what: str, why: str) -> None:
        """Put a part of a proof that could not be looked at into the ledger, and go on with the rest."""
        self.entries.append(NotEvaluated(subject if isinstance(subject, str) else str(subject.id), what, why))

    @property
    def expected(self) -> dict[Key, Key | None]:
        """What Flux is expected to reconcile."""
        return expected_of(self.world)

    @property
    def revisions(self) -> dict[Key, str]:
        """What Flux is to be at: the pushed revision, for every source of the working tree and every Kustomization that is built from one."""
        if self.beside is None or self.overlay is None:
            return {}
        tree, url = self.beside.tree, self.overlay.source["spec"]["url"]
        sources = {(item.namespace, item.name) for item in self.world.of(source_kind("OCIRepository")) if item.get("spec", "url") == url}
        built = [(item, reference_of(item)) for item in (*self.world.of(KUSTOMIZATION), *([self.world.cluster.sync] if self.world.cluster.sync else ()))]
        found = {Key("OCIRepository", namespace, name): tree.revision for namespace, name in sources}
        users = [item for item, of in built if of.kind == "OCIRepository" and (of.namespace, of.name) in sources]
        return found | {Key(item.kind, item.namespace, item.name): tree.revision for item in users}

    def reached(self, phase: str) -> bool:
        """Whether a phase was done."""
        return PHASES.index(self.phase) >= PHASES.index(phase)


Tell = Callable[[str], None]
During = Callable[[Tree], None]


def bring_up(platform: Platform, choice: Choice, *, tell: Tell = lambda _text: None, during: During = lambda _tree: None) -> None:
    """Bring the platform up as far as a choice says. ``during`` is called with every answer of Flux: what bootstraps components in between.

    What was reached stands in ``platform``, also when it fails. Flux that is not ready in time is a finding, not an error: see ``platform.failure``.

    Raises:
        CannotRunError, OverlayError, FactsError, RegistryError: it cannot be brought up from here.
        WaitError: the registry does not answer.
        RunError: a program failed.
    """
    platform.choice = choice
    if platform.cluster.foreign:
        platform.phase, platform.tree = "ready", Tree(platform.cluster.kubectl.list(*KINDS), platform.expected)
        return
    for phase, step in (("registry", _registry), ("overlay", _overlay), ("flux", _flux), ("key", _key), ("sync", _sync)):
        if not _wanted(choice, phase):
            return
        tell(f"{phase} ...")
        with platform.times.phase(phase):
            step(platform, choice)
        platform.phase = phase
    if not platform.cluster.made:
        for line in leftovers(platform.cluster.kubectl, TEMPORARY):
            platform.journal.changed(f"left by an interrupted proof: {line}")
    if _wanted(choice, "ready"):
        vault = _vault(platform, choice)
        with platform.times.phase("ready"):
            try:
                platform.tree = wait_for_flux(platform, choice.timeout, tell=tell, during=during)
            except WaitError as error:
                platform.failure = "\n".join(text for text in (vault.error if vault is not None else "", str(error)) if text)
        platform.phase = "ready"
        remember(platform.cluster)


def wait_for_flux(
    platform: Platform,
    timeout: float,
    *,
    tell: Tell = lambda _text: None,
    during: During = lambda _tree: None,
    clock: Clock | None = None,
) -> Tree:
    """Wait until Flux reports everything ready, twice in a row. The error starts with the root causes, with conditions, events and log lines."""
    kubectl, times = platform.cluster.kubectl, platform.times
    start = times.clock.now()

    def observe() -> Tree:
        tree = Tree(kubectl.list(*KINDS), platform.expected, platform.revisions)
        times.saw(tree, start)
        during(tree)
        platform.tree = tree
        return tree

    progress = Progress(lambda seconds, status: tell(f"{seconds:4.0f} s {status}"))
    with nullcontext(clock) if clock is not None else bell(kubectl, *_RUNG_BY) as ticking:
        waiter = Waiter(observe, Tree.summary, progress, ticking)
        try:
            return waiter.wait(lambda tree: tree.ready, successes=2, timeout=timeout, delay=3, what="Flux to report everything ready")
        except WaitError as error:
            if platform.tree is None:
                raise
            causes = "\n".join(explain(kubectl, cause) for cause in platform.tree.causes()[:5])
            raise type(error)(str(error).splitlines()[0], f"{causes}\n{platform.tree.report()}") from error


def expected_of(world: World) -> dict[Key, Key | None]:
    """What Flux will reconcile of a world (the sync root, Kustomizations, HelmReleases, sources), each with the Kustomization that applies it."""
    found: dict[Key, Key | None] = {}
    for item in world.of(KUSTOMIZATION, HELM_RELEASE, *SOURCES):
        maker = item.applier
        key = Key(item.kind, item.namespace, item.name)
        own = Key(maker.kind, maker.namespace, maker.name) if maker is not None else None
        found[key] = own if own != key else None
    sync = world.cluster.sync
    return found | ({Key(sync.kind, sync.namespace, sync.name): None} if sync is not None else {})


def chains_of(world: World) -> dict[Key, set[tuple[str, str]]]:
    """What Flux will reconcile of a world, each with the Kustomizations (namespace, name) that lead to it, itself among them when it is one."""
    found: dict[Key, set[tuple[str, str]]] = {}
    for item in world.of(KUSTOMIZATION, HELM_RELEASE, *SOURCES):
        own = {(item.namespace, item.name)} if str(item.group_kind) == KUSTOMIZATION else set()
        found[Key(item.kind, item.namespace, item.name)] = own | {(link.namespace, link.name) for link in item.origin.chain if link.kind == "Kustomization"}
    return found


def left_out(world: World, choice: Choice) -> set[tuple[str, str]]:
    """The Kustomizations that a choice does without. Raises OverlayError for names that are none."""
    out = closed(world, choice.without)
    if choice.only:
        applier = installer(world)
        # Nothing comes up without Flux itself.
        kept = needed(world, (*choice.only, *([applier.name] if applier is not None else ())))
        out |= {(item.namespace, item.name) for item in world.of(KUSTOMIZATION)} - kept
    return out


def _vault(platform: Platform, choice: Choice) -> VaultUp | None:
    """Start the bootstrap of Vault, where the cluster has one."""
    if platform.pair is None or not VaultUp.wanted(platform.world):
        return None
    vault = VaultUp(platform.cluster, platform.workspace, platform.pair, platform.journal, timeout=choice.timeout)
    vault.start()
    return vault


def _wanted(choice: Choice, phase: str) -> bool:
    return PHASES.index(phase) <= PHASES.index(choice.phase)


def _registry(platform: Platform, choice: Choice) -> None:
    host = host_of(platform.world)
    container = container_of(platform.cluster, host, choice)
    registry = Registry(container.up())
    wait(registry.ready, timeout=60, delay=0.5, what=f"the registry at {registry.address}")
    platform.beside = publish(platform.workspace, platform.world, registry, host)


def container_of(cluster: Cluster, host: str, choice: Choice) -> Container:
    """The registry's container of a cluster."""
    return Container(cluster.tools.docker, host.rpartition(":")[0], cluster.wanted.name, choice.registry_image or IMAGE)


def _overlay(platform: Platform, choice: Choice) -> None:
    if platform.beside is None:
        raise OverlayError("nothing is in the registry yet")
    kubectl, cluster = platform.cluster.kubectl, platform.cluster
    network = cluster.docker("network", "inspect", "kind")
    kubeadm = kubectl.get("configmaps", "kubeadm-config", "kube-system") or {}
    platform.facts = facts_of(subnet_of(network), kubectl.list("nodes"), str((kubeadm.get("data") or {}).get("ClusterConfiguration") or ""))
    platform.pair, platform.sealed = _sealing(platform)
    made = overlay(
        platform.world,
        platform.beside,
        variables=platform.facts.variables(),
        sealed=platform.sealed,
        certificate=platform.pair.certificate,
        without=left_out(platform.world, choice),
    )
    after = rebuilt(platform.workspace, platform.world, made)
    differing = differences(platform.world, after, made)
    if differing:
        raise OverlayError("with its overlay the cluster is another one than the one that was proven:\n  " + "\n  ".join(differing[:20]))
    platform.overlay, platform.world = made, after


def _sealing(platform: Platform) -> tuple[Pair, Sealed]:
    """The run's key and sealed values; those of an earlier run when the cluster has them, so that nothing changes on a kept cluster."""
    kubectl, world = platform.cluster.kubectl, platform.world
    for line in recover(kubectl):
        platform.journal.changed(f"left by an interrupted proof: {line}")
    kept = keys_of(kubectl)
    pair = _sealed_for(kubectl, kept) if kept else new_pair(platform.cluster.wanted.name, datetime.now(UTC))
    sealed = seal_all(world.objects, pair.certificate)
    for (space, name), values in sealed.variables.items():
        there = (kubectl.get("configmaps", name, space) or {}).get("data") or {}
        # What is inside the kept ones is not known here.
        again = {variable: there[variable] for variable in values if kept and variable in there and there[variable] not in _in_git(world, space, name)}
        values.update(again)
        if again:
            sealed.plain.clear()
    return pair, sealed


def _sealed_for(kubectl: Kubectl, kept: list[Pair]) -> Pair:
    """The pair whose certificate the cluster's values were sealed for; the newest may be one that the controller made since."""
    there = ((kubectl.get("configmaps", "sealed-secrets-certificate", "flux-system") or {}).get("data") or {}).get("tls.crt", "")
    return next((pair for pair in kept if pair.certificate.strip() == str(there).strip()), kept[-1])


def _in_git(world: World, namespace: str, name: str) -> set[str]:
    item = world.find("ConfigMap", namespace, name)
    return set(map(str, (item.body.get("data") or {}).values())) if item is not None else set()


def _flux(platform: Platform, _choice: Choice) -> None:
    ensure_flux(platform.cluster.kubectl, [item.body for item in flux_objects(platform.world)], platform.journal, timeout=_ROLLOUT)


def _key(platform: Platform, _choice: Choice) -> None:
    if platform.pair is not None:
        restore(platform.cluster.kubectl, [platform.pair], platform.journal)


def _sync(platform: Platform, _choice: Choice) -> None:
    if platform.overlay is None:
        raise OverlayError("there is no overlay yet")
    kubectl = platform.cluster.kubectl
    with tempfile.TemporaryDirectory(prefix="plimsoll-sync-") as folder:
        path = Path(folder)
        path.joinpath("sync.yaml").write_text(yaml.safe_dump_all(platform.overlay.objects, sort_keys=False), encoding="utf-8")
        path.joinpath("kustomization.yaml").write_text("resources: [sync.yaml]\n", encoding="utf-8")
        ensure_sync(kubectl, path, platform.journal, timeout=_ROLLOUT)
    applied = {Key(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in platform.overlay.objects}
    there = Tree(kubectl.list(KINDS[2])).statuses.keys()
    # On a kept cluster the tenants have sources of their own, which would not look at what was pushed before their next interval.
    for key in sorted(applied | (platform.revisions.keys() & there)):
        ask(kubectl, key)
