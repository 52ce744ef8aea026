"""Bringing the platform up, with programs and a clock that are not real: order, phases, idempotence, and what a timeout says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.flux.workspace import Options, Workspace
from harness.live import bringup
from harness.live.account import Span
from harness.live.bootstrap.sealing import Pair, keys_of, new_pair
from harness.live.bringup import Choice, Platform, Times, bring_up, wait_for_flux
from harness.live.faults import LABEL
from harness.live.ground.cluster import Cluster, Programs, Wanted
from harness.live.ground.oci import Pushed
from harness.live.ground.overlay import Beside, OverlayError, mirrored
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import WaitTimeoutError
from harness.live.sync.readiness import Key, Tree
from unit.live.fakes import Time, condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.flux.world import World

ROOT = Path(__file__).parents[3]
NODE = {
    "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}], "nodeInfo": {"kubeletVersion": "v1.36.4"}},
}
READY = {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}


class Machine:
    """docker and a cluster that takes what is applied and reports everything Ready ``after`` so many questions."""

    def __init__(self, world: World, after: int = 1) -> None:
        self.expected = bringup.expected_of(world)
        self.after = after
        self.applied: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.log: list[str] = []
        self.revision = "kind@sha256:3"

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, **_options: object) -> Output:
        self.log.append(" ".join(argv[2:] if argv[0] == "kubectl" else argv))
        if argv[0] == "docker":
            return Output('[{"IPAM":{"Config":[{"Subnet":"172.18.0.0/16"}]}}]')
        verb, *rest = argv[2:]
        if verb == "apply":
            for body in yaml.safe_load_all(stdin or ""):
                for item in body["items"] if body["kind"] == "List" else [body]:
                    self.applied[item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
            return Output("")
        if verb == "kustomize":
            return Output(Path(rest[0], "sync.yaml").read_text())
        return Output(json.dumps(self.get(rest[0], rest))) if verb == "get" else Output("")

    def get(self, kind: str, rest: list[str]) -> dict[str, Any]:
        if kind == "nodes":
            return {"items": [NODE]}
        if kind.startswith("kustomizations.") and "," in kind and (f"--selector={LABEL}" in rest or "ocirepositories" not in kind):
            # What interrupted proofs left: nothing.
            return {"items": []}
        if kind.startswith("kustomizations.") and "," in kind:
            self.after -= 1
            return {"items": [self.live(key) for key in self.expected]}
        if kind.partition(".")[0] in ("kustomizations", "ocirepositories"):
            name = "Kustomization" if kind.startswith("k") else "OCIRepository"
            there = self.applied.get((name, "flux-system", rest[1]))
            return {**there, "status": READY} if there else self.missing()
        if rest[1] == "kubeadm-config":
            return {"data": {"ClusterConfiguration": "networking:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/16\n"}}
        if kind == "secrets":
            return {"items": [item for (held, _namespace, _name), item in self.applied.items() if held == "Secret"]}
        if kind in ("deployments.apps", "pods"):
            return {"items": []}
        found = self.applied.get(("ConfigMap", "flux-system", rest[1]))
        return found or self.missing()

    def live(self, key: Key) -> dict[str, Any]:
        done = {**READY, "lastAppliedRevision": self.revision, "artifact": {"revision": self.revision}}
        return {"kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace, "generation": 1}, "status": done if self.after <= 0 else {}}

    @staticmethod
    def missing() -> dict[str, Any]:
        raise RunError(["kubectl"], "ended with code 1", stderr="Error from server (NotFound): not found")


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace(ROOT, Options(clusters=("kind",)))


@pytest.fixture(scope="module")
def world(workspace: Workspace) -> World:
    return workspace.world(workspace.selected[0])


@pytest.fixture(scope="module")
def key() -> Pair:
    return new_pair("test", datetime.now(UTC), bits=2048)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, world: World, key: Pair) -> None:
    """What has its own tests: the registry, Flux's manifests, making a key, building the cluster again."""
    images = {
        str(item.id): Pushed(mirrored(str(item.get("spec", "url"))), "1", "sha256:1", "sha256:2") for item in world.of("OCIRepository.source.toolkit.fluxcd.io")
    }
    images = {name: pushed for name, pushed in images.items() if "kind-registry" not in pushed.repository}
    charts = {str(item.id): "charts" for item in world.of("HelmRepository.source.toolkit.fluxcd.io")}

    def push(platform: Platform, _choice: Choice) -> None:
        platform.beside = Beside("kind-registry:5000", Pushed("plimsoll", "kind", "sha256:3", "sha256:4"), images, charts)

    monkeypatch.setattr(bringup, "_registry", push)
    monkeypatch.setattr(bringup, "flux_objects", lambda world: [item for item in world.objects if item.applier is not None and item.applier.name == "flux"])
    monkeypatch.setattr(bringup, "rebuilt", lambda _workspace, world, _overlay: world)
    monkeypatch.setattr(bringup, "differences", lambda *_worlds: [])
    monkeypatch.setattr(bringup, "new_pair", lambda _name, _now: key)
    monkeypatch.setattr(bringup, "_vault", lambda *_arguments: None)


def platform(world: World, machine: Machine, **wanted: Any) -> Platform:
    return Platform(Cluster(Wanted("one", **wanted), Programs("kind", "kubectl", "docker"), Path("/nowhere"), machine), world, Workspace(ROOT))


def test_from_empty_to_ready(world: World) -> None:
    machine = Machine(world)
    made = platform(world, machine)
    told: list[str] = []
    bring_up(made, Choice(timeout=60), tell=told.append)
    verbs = [line.split()[0] for line in machine.log if line.startswith(("apply", "rollout", "annotate"))]
    # Flux and its controllers; the namespace of the sealing key and the key; the sync root.
    assert verbs == ["apply", *["rollout"] * 4, "apply", "apply", "apply", "annotate", "annotate"]
    assert machine.applied["Kustomization", "flux-system", "flux-system"]["spec"]["patches"]
    assert machine.applied["OCIRepository", "flux-system", "flux-system"]["spec"]["ref"] == {"tag": "kind"}
    assert keys_of(made.cluster.kubectl) == [made.pair]
    assert made.phase == "ready"
    assert told[:5] == ["registry ...", "overlay ...", "flux ...", "key ...", "sync ..."]
    assert list(made.times.phases) == ["registry", "overlay", "flux", "key", "sync", "ready"]
    assert made.facts is not None
    assert made.facts.network == "172.18.0.0/16"


def sealed_values(platform: Platform) -> dict[str, str]:
    assert platform.sealed is not None
    return platform.sealed.variables["flux-system", "cluster-sealed-values"]


def test_a_second_time_nothing_is_sealed_anew(world: World) -> None:
    machine = Machine(world)
    first = platform(world, machine)
    bring_up(first, Choice(phase="sync"))
    # What Flux does with the overlay.
    machine.applied["ConfigMap", "flux-system", "cluster-sealed-values"] = {"data": sealed_values(first)}
    second = platform(world, machine)
    bring_up(second, Choice(phase="sync"))
    assert sealed_values(second) == sealed_values(first)
    assert second.pair == first.pair
    assert first.overlay is not None
    assert second.overlay is not None
    assert first.overlay.objects == second.overlay.objects


def test_values_of_git_are_replaced_although_the_key_is_kept(world: World) -> None:
    machine = Machine(world)
    bring_up(platform(world, machine), Choice(phase="key"))
    in_git = next(item for item in world.of("ConfigMap") if item.name == "cluster-sealed-values")
    machine.applied["ConfigMap", "flux-system", "cluster-sealed-values"] = in_git.body
    second = platform(world, machine)
    bring_up(second, Choice(phase="sync"))
    assert not set(sealed_values(second).values()) & set(in_git.body["data"].values())


def test_another_cluster_than_the_proven_one_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringup, "differences", lambda *_worlds: ["kind/Service/a/b: differs in more than the overlay says"])
    machine = Machine(world)
    with pytest.raises(OverlayError, match="another one than the one that was proven:\n  kind/Service/a/b"):
        bring_up(platform(world, machine), Choice())
    assert machine.applied == {}


@pytest.mark.parametrize(("phase", "applied"), [("cluster", 0), ("overlay", 0), ("flux", 1), ("key", 3), ("sync", 4)])
def test_a_run_stops_after_its_phase(world: World, phase: str, applied: int) -> None:
    machine = Machine(world)
    made = platform(world, machine)
    bring_up(made, Choice(phase=phase))
    assert made.phase == phase
    assert sum(line.startswith("apply") for line in machine.log) == applied
    assert made.reached("cluster")
    assert not made.reached("ready")


def test_nothing_is_applied_to_a_foreign_cluster(world: World, tmp_path: Path) -> None:
    machine = Machine(world)
    made = platform(world, machine, kubeconfig=tmp_path / "config", trusted="production")
    bring_up(made, Choice())
    assert machine.applied == {}
    assert made.phase == "ready"
    assert {line.split()[0] for line in machine.log} == {"config", "get"}


def test_progress_and_first_readiness_are_told(world: World) -> None:
    machine, time = Machine(world, after=3), Time()
    made = platform(world, machine)
    made.times = Times(clock=time.clock)
    told: list[str] = []
    seen: list[int] = []
    wait_for_flux(made, 60, tell=told.append, during=lambda tree: seen.append(len(tree.unready)), clock=time.clock)
    total = len(machine.expected)
    assert seen == [total, total, 0, 0]
    assert told[0].startswith(f"   0 s 0 of {total} ready; waiting for ")
    assert told[-1] == f"   6 s {total} of {total} ready"
    assert set(made.times.objects.values()) == {6}


def test_a_timeout_starts_with_the_root_cause(world: World) -> None:
    class Stuck(Machine):
        def live(self, key: Key) -> dict[str, Any]:
            return self.loki() if key == Key("HelmRelease", "loki", "loki") else super().live(key)

        def get(self, kind: str, rest: list[str]) -> dict[str, Any]:
            if "," in kind:
                return super().get(kind, rest)
            return self.loki() if rest[1] == "loki" else {"items": []}

        @staticmethod
        def loki() -> dict[str, Any]:
            failed = condition("Ready", "False", "InstallFailed", "timeout waiting for StatefulSet/loki/loki")
            return {"kind": "HelmRelease", "metadata": {"name": "loki", "namespace": "loki"}, "status": {"conditions": [failed]}}

    time = Time()
    made = platform(world, Stuck(world))
    with pytest.raises(WaitTimeoutError) as caught:
        wait_for_flux(made, 10, clock=time.clock)
    lines = str(caught.value).splitlines()
    assert lines[0] == "wait timed out after 9 s: Flux to report everything ready"
    assert lines[1] == "HelmRelease/loki/loki: failed: timeout waiting for StatefulSet/loki/loki"
    assert "  condition Ready=False InstallFailed: timeout waiting for StatefulSet/loki/loki" in lines


def test_flux_at_an_older_revision_is_not_ready(world: World) -> None:
    machine = Machine(world)
    machine.revision = "kind@sha256:old"
    made = platform(world, machine)
    bring_up(made, Choice(timeout=0))
    assert made.tree is not None
    root = Key("Kustomization", "flux-system", "flux-system")
    assert made.revisions[root] == made.revisions[Key("OCIRepository", "flux-system", "flux-system")] == "kind@sha256:3"
    assert Key("Kustomization", "tenant-a", "tenant-a-apps") in made.revisions
    assert Key("Kustomization", "flux-system", "flux") not in made.revisions
    assert str(made.tree.statuses[root]) == f"{root}: progressing: still at kind@sha256:old"
    assert made.failure.splitlines()[0] == "wait timed out after 0 s: Flux to report everything ready"


def test_times_keep_the_first_readiness() -> None:
    time = Time(0)
    times = Times(clock=time.clock)
    body = {"kind": "Kustomization", "metadata": {"name": "a", "namespace": "b"}, "status": READY}
    time.seconds = 5
    times.saw(Tree([body]), 0)
    time.seconds = 9
    times.saw(Tree([body]), 0)
    assert times.objects == {Key("Kustomization", "b", "a"): 5}
    with times.phase("one"):
        time.seconds += 2
    assert times.phases == {"one": Span("one", 9, 2)}


def test_what_a_proof_leaves_open_goes_to_the_ledger(world: World) -> None:
    made = platform(world, Machine(world))
    made.left_open(world.of("Namespace")[0], "a probe", "no pod runs")
    made.left_open("flow", "a probe", "no pod runs")
    assert [str(entry.subject) for entry in made.entries] == [str(world.of("Namespace")[0].id), "flow"]
    assert {entry.why for entry in made.entries} == {"no pod runs"}


def test_what_proofs_share_is_made_once(world: World) -> None:
    made = platform(world, Machine(world))
    calls: list[str] = []

    def look(given: bringup.Platform) -> int:
        calls.append(given.world.cluster.name)
        return given.random().randrange(1000)

    assert made.once(look) == made.once(look) == made.random().randrange(1000)
    assert len(calls) == 1
