"""Flux and its sync root, applied once and then left alone; which cluster may be touched; and how far a bootstrap is said to be."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.flux.reduce import reduce
from harness.live.bootstrap.base import BootstrapError, State, check_context, fits
from harness.live.bootstrap.flux import APPLIED_BY, check_manifests, docker_config, documents, ensure_flux, ensure_sync, registry_of, sync_objects
from harness.live.bootstrap.sealing import Pair, new_pair, restore
from harness.live.bootstrap.status import Status
from harness.live.bootstrap.values import CERTIFICATE, VALUES, write_certificate
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.wait import WaitTimeoutError

sys.path.insert(0, str(Path(__file__).parent))
from bootstrap_fakes import Fake, LostError, Told, leaks, vault_of

ROOT = Path(__file__).parents[3]
TAG = "v2.9.4"


def deployment(name: str, version: str = TAG) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": version}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "flux-system", "labels": labels}, "spec": {"replicas": 1}}


MANIFESTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}},
    deployment("kustomize-controller"),
    deployment("source-controller"),
]
SOURCE = "OCIRepository", "flux-system", "flux-system"
SYNC = "Kustomization", "flux-system", "flux-system"


def reconcile(fake: Fake) -> None:
    """Flux runs as soon as it is there, and builds the root half a minute later; then it takes over what was applied."""
    for (kind, namespace, _name), item in fake.objects.items():
        if (kind, namespace) == ("Deployment", "flux-system"):
            item["status"] = {"conditions": [{"type": "Available", "status": "True"}]}
    if SYNC in fake.objects and SOURCE in fake.objects and fake.now >= 30:
        for item in fake.objects.values():
            item["metadata"].setdefault("labels", {})[APPLIED_BY] = "flux-system"
        for key in (SYNC, SOURCE):
            fake.objects[key]["status"] = {"conditions": [{"type": "Ready", "status": "True"}], "lastAppliedRevision": "kind@sha256:1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cluster's folder, with its sync root."""
    found = tmp_path / "clusters" / "kind"
    shutil.copytree(ROOT / "clusters" / "kind" / "flux-system", found / "flux-system")
    for name in (CERTIFICATE, VALUES):
        shutil.copy(ROOT / "clusters" / "kind" / name, found / name)
    return found


def bring_up(fake: Fake, told: Told, sync: Path, **options: Any) -> str:
    ensure_flux(fake.kubectl, MANIFESTS, told.journal)
    return ensure_sync(fake.kubectl, sync, told.journal, clock=fake.clock, progress=told.progress, **options)


def test_order_from_empty(folder: Path) -> None:
    fake = Fake(reconcile=reconcile)
    assert bring_up(fake, Told(fake), folder / "flux-system") == "kind@sha256:1"
    assert [call for call in fake.calls if call != "get"] == ["apply --server-side"] + ["rollout status"] * 2 + [
        f"kustomize {folder}/flux-system",
        "apply --server-side",
    ]
    assert all("--field-manager=kubectl" in argv for argv in fake.argvs if "apply" in argv), "or Flux could not take it over"


def test_second_run_changes_nothing(folder: Path) -> None:
    fake = Fake(reconcile=reconcile)
    bring_up(fake, Told(fake), folder / "flux-system")
    before = len(fake.calls)
    told = Told(fake)
    bring_up(fake, told, folder / "flux-system")
    assert [call for call in fake.calls[before:] if call.startswith("apply")] == []
    assert told.text.getvalue().splitlines()[0] == "Flux is there and looks after itself"


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_was_killed_anywhere_is_run_again(folder: Path, after: bool) -> None:
    sync = folder / "flux-system"
    for number in range(1, 60):
        fake = Fake(reconcile=reconcile, fail_at=number, after=after)
        killed = False
        try:
            bring_up(fake, Told(fake), sync)
        except LostError:
            killed = True
        fake.fail_at = 0
        assert bring_up(fake, Told(fake), sync) == "kind@sha256:1"
        assert {key[0] for key in fake.objects} == {"Namespace", "Deployment", "Kustomization", "OCIRepository"}
        if not killed:
            break
    assert number > 15


def test_a_flux_that_looks_after_itself_is_overwritten_only_when_asked(folder: Path) -> None:
    fake = Fake(reconcile=reconcile)
    bring_up(fake, Told(fake), folder / "flux-system")
    before = len(fake.argvs)
    ensure_flux(fake.kubectl, MANIFESTS, Told(fake).journal, again=True)
    assert [word for argv in fake.argvs[before:] if "apply" in argv for word in argv if word == "--force-conflicts"] == ["--force-conflicts"]
    older = Fake(reconcile=reconcile)
    ensure_flux(older.kubectl, [deployment("kustomize-controller", "v2.8.0")], Told(older).journal)
    ensure_flux(older.kubectl, [deployment("kustomize-controller")], Told(older).journal)
    assert older.objects["Deployment", "flux-system", "kustomize-controller"]["metadata"]["labels"]["app.kubernetes.io/version"] == TAG


def test_a_source_that_cannot_be_pulled_is_named(folder: Path) -> None:
    def refuse(fake: Fake) -> None:
        if SOURCE in fake.objects:
            fake.objects[SOURCE]["status"] = {"conditions": [{"type": "Ready", "status": "False", "message": "failed to pull: unauthorized"}]}

    fake = Fake(reconcile=refuse)
    with pytest.raises(WaitTimeoutError, match="Flux builds the sync root\nsource: failed to pull: unauthorized; Kustomization: nothing yet"):
        bring_up(fake, Told(fake), folder / "flux-system", timeout=20)


def test_only_the_pinned_and_proven_manifests_are_taken() -> None:
    locked = [reduce(body) for body in MANIFESTS]
    check_manifests(MANIFESTS, TAG, locked)
    check_manifests(MANIFESTS, TAG, None)
    with pytest.raises(BootstrapError, match=r"of Flux v2\.9\.4, the repository pins v2\.10\.0"):
        check_manifests(MANIFESTS, "v2.10.0", None)
    with pytest.raises(BootstrapError, match=r"of Flux \(no controller\)"):
        check_manifests(MANIFESTS[:1], TAG, None)
    changed = [MANIFESTS[0], deployment("kustomize-controller") | {"spec": {"replicas": 2}}, MANIFESTS[2]]
    with pytest.raises(BootstrapError, match="1 objects differ, Deployment/kustomize-controller first"):
        check_manifests(changed, TAG, locked)
    with pytest.raises(BootstrapError, match="1 objects differ, Namespace/more first"):
        check_manifests([*MANIFESTS, {"kind": "Namespace", "metadata": {"name": "more"}}], TAG, locked)


def test_the_lock_knows_the_manifests_that_are_pinned() -> None:
    locked = json.loads((ROOT / "tests" / "lock" / "artifacts" / f"flux-manifests-{TAG}.json").read_text(encoding="utf-8"))
    check_manifests(locked["documents"], TAG, locked["documents"])


@pytest.mark.parametrize("text", ["", "[", "a: b", "- a", "just text"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BootstrapError, match="Flux's manifests"):
        documents(text, "Flux's manifests")


def test_a_sync_folder_of_another_shape_is_refused(folder: Path) -> None:
    sync = folder / "flux-system"
    fake = Fake()
    (sync / "ocirepository.yaml").write_text("kind: ConfigMap\nmetadata: {name: other}\n", encoding="utf-8")
    with pytest.raises(BootstrapError, match="does not hold the source of its sync, OCIRepository/flux-system"):
        sync_objects(fake.kubectl, sync)
    (sync / "kustomization.yaml").write_text("resources: [ocirepository.yaml]\n", encoding="utf-8")
    with pytest.raises(BootstrapError, match="holds 0 Flux Kustomizations"):
        sync_objects(fake.kubectl, sync)
    with pytest.raises(BootstrapError, match=r"has no kustomization\.yaml"):
        sync_objects(fake.kubectl, folder)


def test_pull_secret(folder: Path) -> None:
    sync = folder / "flux-system"
    password = "a registry's password"
    credentials = docker_config("registry.example.com", "robot", password)
    fake = Fake(reconcile=reconcile)
    told = Told(fake)
    with pytest.raises(BootstrapError, match="names no secretRef"):
        ensure_sync(fake.kubectl, sync, told.journal, credentials=credentials)
    source = yaml.safe_load((sync / "ocirepository.yaml").read_text(encoding="utf-8"))
    source["spec"]["secretRef"] = {"name": "registry"}
    (sync / "ocirepository.yaml").write_text(yaml.safe_dump(source), encoding="utf-8")
    with pytest.raises(BootstrapError, match="Secret flux-system/registry, which is not there"):
        ensure_sync(fake.kubectl, sync, told.journal)
    assert bring_up(fake, told, sync, credentials=credentials) == "kind@sha256:1"
    assert fake.objects["Secret", "flux-system", "registry"]["type"] == "kubernetes.io/dockerconfigjson"
    assert bring_up(fake, told, sync) == "kind@sha256:1"
    assert leaks(told.everything(), [password, credentials.decode()]) == []
    assert registry_of(source) == "kind-registry:5000"


@pytest.mark.parametrize(
    ("context", "cluster", "fit"),
    [
        ("production", "production", True),
        ("admin@production", "production", True),
        ("arn:aws:eks:eu-west-1:123456789012:cluster/production", "production", True),
        ("gke_project_europe-west1_production", "production", True),
        ("kind-kind", "kind", True),
        ("kind-plimsoll-e2e", "kind", True),
        ("kind-staging", "staging", True),
        ("staging", "production", False),
        ("non-production", "production", False),
        ("production-old", "production", False),
        ("production@staging", "production", False),
        ("minikube", "kind", False),
        ("mykind-kind", "kind", False),
        ("", "kind", False),
    ],
)
def test_contexts_are_held_to_the_clusters_name(context: str, cluster: str, fit: bool) -> None:
    assert fits(context, cluster) is fit
    fake = Fake()
    kubectl = Kubectl("kubectl", Path("kubeconfig"), context, fake)
    if fit:
        check_context(kubectl, cluster)
    else:
        with pytest.raises(BootstrapError, match=r"--context|not named after the cluster"):
            check_context(kubectl, cluster)
        assert fake.calls == [], "a foreign cluster is not even asked"


def test_a_context_can_be_vouched_for_but_the_cluster_has_the_last_word() -> None:
    fake = Fake()
    kubectl = Kubectl("kubectl", Path("kubeconfig"), "minikube", fake)
    check_context(kubectl, "kind", "minikube")
    with pytest.raises(BootstrapError, match="not named after"):
        check_context(kubectl, "kind", "another")
    fake.add("ConfigMap", "cluster-vars", "flux-system", data={"CLUSTER_NAME": "production"})
    with pytest.raises(BootstrapError, match="says that it is production"):
        check_context(kubectl, "kind", "minikube")
    with pytest.raises(BootstrapError, match="says that it is production"):
        check_context(Kubectl("kubectl", Path("kubeconfig"), "kind-kind", fake), "kind")


def status(fake: Fake, folder: Path, keyfile: Path | None = None) -> dict[str, tuple[State, str]]:
    vault = vault_of(fake, Told(fake), keyfile)
    steps = Status(fake.kubectl, folder, folder / "flux-system", vault, datetime(2026, 12, 1, tzinfo=UTC)).steps()
    assert [call for call in fake.calls if not call.startswith(("get", "GET", "kustomize"))] == []
    return {step.name: (step.state, step.found) for step in steps}


def test_status_of_an_empty_cluster(folder: Path) -> None:
    found = status(Fake(), folder)
    assert {name: state.name for name, (state, _text) in found.items()} == {
        "sealing key": "TODO",
        "sealed values": "TODO",
        "flux": "TODO",
        "sync root": "TODO",
        "everything in Git": "TODO",
        "vault initialised": "UNKNOWN",
        "vault unsealed": "UNKNOWN",
        "vault configured": "TODO",
        "root token revoked": "UNKNOWN",
    }
    assert found["root token revoked"][1] == "give --keys FILE to see"


def test_status_half_way(folder: Path) -> None:
    fake = Fake()
    pair: Pair = new_pair("kind", datetime(2026, 11, 23, tzinfo=UTC), bits=1024)
    restore(fake.kubectl, [pair], Told(fake).journal)
    for name in ("kustomize-controller", "source-controller"):
        fake.add("Deployment", name, "flux-system", labels={"app.kubernetes.io/part-of": "flux"})
    fake.objects["Deployment", "flux-system", "source-controller"]["status"] = {"conditions": [{"type": "Available", "status": "True"}]}
    for name, ready in (("flux-system", "True"), ("vault", "True"), ("loki", "False")):
        fake.add("Kustomization", name, "flux-system", status={"conditions": [{"type": "Ready", "status": ready, "message": "why"}]})
    fake.add("OCIRepository", "flux-system", "flux-system", status={"conditions": [{"type": "Ready", "status": "False", "message": "no tag"}]})
    fake.add("StatefulSet", "vault", "vault", spec={"replicas": 2})
    fake.add("Pod", "vault-0", "vault", labels={"app.kubernetes.io/name": "vault", "component": "server"}, status={"phase": "Running"})
    fake.calls.clear()
    fake.vault.shares, fake.vault.threshold = ["1", "2", "3"], 2
    found = status(fake, folder)
    assert found["sealing key"] == (State.TODO, found["sealing key"][1])
    assert "but not the one whose certificate" in found["sealing key"][1]
    assert found["flux"] == (State.WAITING, "not available: kustomize-controller")
    assert found["sync root"] == (State.WAITING, "OCIRepository: no tag")
    assert found["everything in Git"] == (State.WAITING, "2 of 3 Kustomizations ready; not flux-system/loki")
    assert found["vault initialised"] == (State.DONE, "2 shares open it")
    assert found["vault unsealed"] == (State.WAITING, "1 of 2 members run; vault-0: sealed, 0 of 2 shares")
    write_certificate(folder, pair.certificate, Told(fake).journal)
    fake.objects["StatefulSet", "vault", "vault"]["spec"]["replicas"] = 1
    fake.vault.open.add("vault-0")
    found = status(fake, folder)
    assert found["sealing key"][0] is State.DONE
    assert found["sealed values"] == (State.TODO, "9 not sealed for the committed certificate")
    assert found["vault unsealed"] == (State.DONE, "vault-0: unsealed")
