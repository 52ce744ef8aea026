"""From an empty kind cluster to the platform: registry, overlay, Flux, sealing key, sync root, and the wait for Flux. Every step may be done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.live.beside import IMAGE, Container, host_of, publish
from harness.live.cluster import CannotRunError
from harness.live.diagnose import explain
from harness.live.facts import Facts, facts_of, subnet_of
from harness.live.oci import Registry
from harness.live.overlay import SOURCES, Overlay, OverlayError, closed, needed, overlay
from harness.live.proof import differences, rebuilt
from harness.live.readiness import KINDS, Key, Tree
from harness.live.sealing import Sealed, SealingKey, seal_all
from harness.live.wait import Clock, Progress, Waiter, WaitError, wait
from harness.live.watch import bell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.live.cluster import Cluster
    from harness.live.overlay import Beside
    from harness.model import Object

#: What ``--phase`` can name: a run stops after it.
PHASES: Final = ("cluster", "registry", "overlay", "flux", "key", "sync", "ready")
_KEY_NAME: Final = "plimsoll-e2e-key"
_DEPLOYMENT: Final = "Deployment.apps"
_CONTROLLER: Final = "kustomize-controller"
#: kustomize-controller takes over the fields of this manager; those of any other would stay for ever.
_BY_HAND: Final = "kubectl"
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


@dataclass
class Times:
    """Seconds of each phase, and of each object of Flux from the sync until it was first ready."""

    phases: dict[str, float] = field(default_factory=dict)
    objects: dict[Key, float] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of a block, also of one that fails."""
        start = self.clock.now()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self.clock.now() - start

    def saw(self, tree: Tree, since: float) -> None:
        """Note what is ready for the first time."""
        unready = {status.key for status in tree.unready}
        for key in tree.statuses.keys() - unready - self.objects.keys():
            self.objects[key] = self.clock.now() - since

    def lines(self) -> list[str]:
        """The phases in their order, and the slowest objects."""
        slow = sorted(self.objects.items(), key=lambda pair: -pair[1])[:10]
        return [f"{name}: {seconds:.1f} s" for name, seconds in self.phases.items()] + [f"{key} ready after {seconds:.0f} s" for key, seconds in slow]


@dataclass
class Platform:
    """What runs, and what it was made of. ``world`` is the cluster as built with its overlay; ``tree`` the last that Flux said."""

    cluster: Cluster
    world: World
    beside: Beside | None = None
    overlay: Overlay | None = None
    facts: Facts | None = None
    sealed: Sealed | None = None
    tree: Tree | None = None
    times: Times = field(default_factory=Times)
    phase: str = "cluster"
    failure: str = ""
    """Why Flux did not become ready in time, with the root causes; empty when it did, or was not waited for."""

    @property
    def expected(self) -> dict[Key, Key | None]:
        """What Flux is expected to reconcile."""
        return expected_of(self.world)

    def reached(self, phase: str) -> bool:
        """Whether a phase was done."""
        return PHASES.index(self.phase) >= PHASES.index(phase)


Tell = Callable[[str], None]
During = Callable[[Tree], None]


def bring_up(platform: Platform, workspace: Workspace, choice: Choice, *, tell: Tell = lambda _text: None, during: During = lambda _tree: None) -> None:
    """Bring the platform up as far as a choice says. ``during`` is called with every answer of Flux: what bootstraps components in between.

    What was reached stands in ``platform``, also when it fails. Flux that is not ready in time is a finding, not an error: see ``platform.failure``.

    Raises:
        CannotRunError, OverlayError, FactsError, RegistryError: it cannot be brought up from here.
        WaitError: the registry does not answer.
        RunError: a program failed.
    """
    if platform.cluster.foreign:
        platform.phase, platform.tree = "ready", Tree(platform.cluster.kubectl.list(*KINDS), platform.expected)
        return
    for phase, step in (("registry", _registry), ("overlay", _overlay), ("flux", _flux), ("key", _key), ("sync", _sync)):
        if not _wanted(choice, phase):
            return
        tell(f"{phase} ...")
        with platform.times.phase(phase):
            step(platform, workspace, choice)
        platform.phase = phase
    if _wanted(choice, "ready"):
        with platform.times.phase("ready"):
            try:
                platform.tree = wait_for_flux(platform, choice.timeout, tell=tell, during=during)
            except WaitError as error:
                platform.failure = str(error)
        platform.phase = "ready"


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
        tree = Tree(kubectl.list(*KINDS), platform.expected)
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
        kept = needed(world, choice.only)
        out |= {(item.namespace, item.name) for item in world.of(KUSTOMIZATION)} - kept
    return out


def flux_objects(world: World) -> list[Object]:
    """The objects of Flux itself, namespaces and definitions first, without NetworkPolicies: those close before the ones that open are there.

    Raises:
        OverlayError: the cluster does not install Flux, or its manifests are not at hand.
    """
    controller = next((item for item in world.of(_DEPLOYMENT) if item.name == _CONTROLLER), None)
    applier = controller.applier if controller is not None else None
    if controller is None or applier is None:
        raise OverlayError(f"no Kustomization of {world.cluster.name} installs Flux: there is no Deployment {_CONTROLLER}")
    if controller.origin.elided:
        raise CannotRunError("Flux's manifests are not at hand, only what the lock keeps of them: put them into the folder that --charts names")
    first = {"Namespace": 0, "CustomResourceDefinition": 1}
    own = [item for item in world.objects if item.applier == applier and item.kind != "NetworkPolicy"]
    return sorted(own, key=lambda item: (first.get(item.kind, 2), item.id))


def _wanted(choice: Choice, phase: str) -> bool:
    return PHASES.index(phase) <= PHASES.index(choice.phase)


def _registry(platform: Platform, workspace: Workspace, choice: Choice) -> None:
    host = host_of(platform.world)
    container = container_of(platform.cluster, host, choice)
    registry = Registry(container.up())
    wait(registry.ready, timeout=60, delay=0.5, what=f"the registry at {registry.address}")
    platform.beside = publish(workspace, platform.world, registry, host)


def container_of(cluster: Cluster, host: str, choice: Choice) -> Container:
    """The registry's container of a cluster."""
    return Container(cluster.tools.docker, host.rpartition(":")[0], cluster.wanted.name, choice.registry_image or IMAGE)


def _overlay(platform: Platform, workspace: Workspace, choice: Choice) -> None:
    if platform.beside is None:
        raise OverlayError("nothing is in the registry yet")
    kubectl, cluster = platform.cluster.kubectl, platform.cluster
    network = cluster.docker("network", "inspect", "kind")
    kubeadm = kubectl.get("configmaps", "kubeadm-config", "kube-system") or {}
    platform.facts = facts_of(subnet_of(network), kubectl.list("nodes"), str((kubeadm.get("data") or {}).get("ClusterConfiguration") or ""))
    key, platform.sealed = _sealing(platform)
    made = overlay(
        platform.world,
        platform.beside,
        variables=platform.facts.variables(),
        sealed=platform.sealed,
        certificate=key.certificate,
        without=left_out(platform.world, choice),
    )
    after = rebuilt(workspace, platform.world, made)
    differing = differences(platform.world, after, made)
    if differing:
        raise OverlayError("with its overlay the cluster is another one than the one that was proven:\n  " + "\n  ".join(differing[:20]))
    platform.overlay, platform.world = made, after


def _sealing(platform: Platform) -> tuple[SealingKey, Sealed]:
    """The run's key and sealed values; those of an earlier run when the cluster has them, so that nothing changes on a kept cluster."""
    kubectl, world = platform.cluster.kubectl, platform.world
    namespace = sealing_namespace(world)
    kept = kubectl.get("secrets", _KEY_NAME, namespace) if namespace else None
    if kept is None:
        key = SealingKey.generate(platform.cluster.wanted.name)
        platform.cluster.secrets[_KEY_NAME] = key
        return key, seal_all(world.objects, key)
    key = SealingKey.of_secret(kept)
    sealed = seal_all(world.objects, key)
    for (space, name), values in sealed.variables.items():
        there = (kubectl.get("configmaps", name, space) or {}).get("data") or {}
        values.update({variable: there[variable] for variable in values if variable in there and there[variable] not in _in_git(world, space, name)})
    # What is inside the kept ones is not known here.
    sealed.plain.clear()
    return key, sealed


def _in_git(world: World, namespace: str, name: str) -> set[str]:
    item = world.find("ConfigMap", namespace, name)
    return set(map(str, (item.body.get("data") or {}).values())) if item is not None else set()


def sealing_namespace(world: World) -> str:
    """Where the Sealed Secrets controller runs and takes its keys from; empty where there is none."""
    for item in world.of(_DEPLOYMENT):
        if "sealed-secrets" in item.name:
            return item.namespace
    return ""


def _flux(platform: Platform, _workspace: Workspace, _choice: Choice) -> None:
    kubectl = platform.cluster.kubectl
    objects = flux_objects(platform.world)
    definitions = [item for item in objects if item.kind in ("Namespace", "CustomResourceDefinition")]
    kubectl.apply([item.body for item in definitions], manager=_BY_HAND)
    names = [f"crd/{item.name}" for item in definitions if item.kind == "CustomResourceDefinition"]
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *names, timeout=70)
    kubectl.apply([item.body for item in objects if item not in definitions], manager=_BY_HAND)
    for item in objects:
        if item.kind == "Deployment":
            kubectl("rollout", "status", f"deployment/{item.name}", f"--namespace={item.namespace}", f"--timeout={_ROLLOUT:g}s", timeout=_ROLLOUT + 10)


def _key(platform: Platform, _workspace: Workspace, _choice: Choice) -> None:
    key = platform.cluster.secrets.pop(_KEY_NAME, None)
    namespace = sealing_namespace(platform.world)
    if key is None or not namespace:
        return
    kubectl = platform.cluster.kubectl
    body = platform.world.find("Namespace", "", namespace)
    plain = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    kubectl.apply([body.body if body is not None else plain, key.secret(namespace, _KEY_NAME)], manager=_BY_HAND)
    # A controller reads its keys when it starts.
    for item in platform.world.of(_DEPLOYMENT):
        if item.namespace == namespace and kubectl.get("deployments.apps", item.name, namespace) is not None:
            kubectl("rollout", "restart", f"deployment/{item.name}", f"--namespace={namespace}")


def _sync(platform: Platform, _workspace: Workspace, _choice: Choice) -> None:
    if platform.overlay is None:
        raise OverlayError("there is no overlay yet")
    platform.cluster.kubectl.apply(platform.overlay.objects, manager=_BY_HAND)
    _ask_now(platform, [Key(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in platform.overlay.objects])


def _ask_now(platform: Platform, keys: Iterable[Key]) -> None:
    """Let Flux look at objects now and not at their next interval (the annotation of ``flux reconcile``)."""
    for key in keys:
        when = f"reconcile.fluxcd.io/requestedAt={time.time_ns()}"
        platform.cluster.kubectl("annotate", "--overwrite", f"--namespace={key.namespace}", f"{key.kind.lower()}/{key.name}", when)
