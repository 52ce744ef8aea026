"""The bundle of diagnostics: it holds what explains a failure, no secret, and it never fails itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness.live.diagnose import bad_conditions, bundle, explain, helm_history, secrets_of, unready_containers
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.sync.readiness import Key, State, Status
from unit.live.fakes import condition

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIVATE = (
    ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
)
PASSWORD = "swordfish-9000"
TOKEN = "hvs." + "CAESIJexampleexampleexampleexample"
SECRETS = (PASSWORD, TOKEN, PRIVATE.splitlines()[1])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def named(kind: str, name: str, namespace: str = "apps", **body: object) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, **body}


POD = named(
    "Pod",
    "web-1",
    spec={"containers": [{"name": "web", "env": [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "MODE", "value": "fast"}]}]},
    status={
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "web",
                "ready": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
            }
        ],
    },
)
HELD = {
    "secrets": [
        named("Secret", "db", type="Opaque", data={"password": encoded(PASSWORD), "short": encoded("ab")}),
        named("Secret", "tls", type="kubernetes.io/tls", data={"tls.key": encoded(PRIVATE)}),
        {
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {"namespace": "apps", "labels": {"owner": "helm", "name": "web", "version": "2", "status": "failed"}, "creationTimestamp": "T"},
            "data": {"release": encoded("x" * 400)},
        },
    ],
    "kustomizations.kustomize.toolkit.fluxcd.io": [
        named("Kustomization", "apps", "flux-system", status={"conditions": [condition("Ready", "False", "HealthCheckFailed", "failed: Deployment/apps/web")]}),
    ],
    "pods": [POD],
    "configmaps": [named("ConfigMap", "app", data={"url": f"postgres://app:{PASSWORD}@db/app", "note": f"sent {TOKEN}", "plain": "visible"})],
    "events": [
        {
            "involvedObject": {"kind": "Kustomization", "name": "apps", "namespace": "flux-system"},
            "type": "Warning",
            "reason": "HealthCheckFailed",
            "message": f"key {PASSWORD}",
            "lastTimestamp": "2026-11-01T00:00:00Z",
        },
    ],
    "networkpolicies.networking.k8s.io": [named("NetworkPolicy", "default-deny", spec={"podSelector": {}})],
    "validatingwebhookconfigurations": [named("ValidatingWebhookConfiguration", "kyverno", "", webhooks=[{"name": "v", "failurePolicy": "Fail"}])],
}  # fmt: skip
LOG = f"starting\nlogin with {PASSWORD}\nX-Vault-Token: {TOKEN}\n{PRIVATE}panic: no route to host\n"


class ApiServer:
    """Answers kubectl from a handful of lists. ``broken`` kinds cannot be listed."""

    def __init__(self, broken: tuple[str, ...] = ()) -> None:
        self.broken = broken

    def __call__(self, argv: Sequence[str], **_options: object) -> Output:
        import json

        verb, *rest = argv[2:]
        if verb == "api-resources":
            return Output("\n".join(HELD))
        if verb == "logs":
            return Output(LOG)
        if verb == "describe":
            return Output("Name: node\nReady True")
        kinds = rest[0].split(",")
        if any(kind in self.broken for kind in kinds):
            raise RunError(argv, "ended with code 1", code=1, stderr="Error from server (Forbidden)")
        items = [item for kind in kinds for item in HELD.get(kind, [])]
        if len(rest) > 1 and not rest[1].startswith("--"):
            return Output(json.dumps(next(item for item in items if item["metadata"]["name"] == rest[1])))
        return Output(json.dumps({"items": items}))


def kubectl(broken: tuple[str, ...] = ()) -> Kubectl:
    return Kubectl("kubectl", Path("/k"), "", ApiServer(broken))


def read(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_no_secret_survives(tmp_path: Path) -> None:
    files = read(bundle(kubectl(), tmp_path / "b", known=["from-the-run-itself"], notes={"failure.txt": "it said from-the-run-itself"}))
    everything = "\n".join(files.values())
    found = [secret for secret in (*SECRETS, *map(encoded, (PASSWORD, PRIVATE)), "PRIVATE KEY", "from-the-run-itself") if secret in everything]
    assert found == []


def test_what_explains_the_failure_is_there(tmp_path: Path) -> None:
    files = read(bundle(kubectl(), tmp_path / "b", notes={"failure.txt": "why it failed"}))
    assert files["failure.txt"] == "why it failed\n"
    assert "cause    Kustomization/flux-system/apps: failed: failed: Deployment/apps/web" in files["flux.txt"]
    assert "pod apps/web-1 web: CrashLoopBackOff, ended before with 3 (Error): back-off 10s" in files["causes.txt"]
    assert "panic: no route to host" in files["causes.txt"]
    assert files["helm.txt"] == "apps/web v2 failed T\n"
    assert files["conditions.txt"] == "Kustomization/flux-system/apps: Ready=False HealthCheckFailed: failed: Deployment/apps/web\n"
    assert "2026-11-01T00:00:00Z Warning Kustomization/flux-system/apps HealthCheckFailed: key (redacted)" in files["events.txt"]
    assert "default-deny" in files["networkpolicies.yaml"]
    assert "failurePolicy: Fail" in files["webhooks.yaml"]
    assert files["nodes.txt"].startswith("Name: node")
    assert "plain: visible" in files["objects/configmap.yaml"]
    assert "value: fast" in files["objects/pod.yaml"]
    assert "password: (redacted)" in files["objects/secret.yaml"]
    assert {"logs/apps/web-1.log", "logs/apps/web-1.web.previous.log"} <= files.keys()


def test_one_kind_that_cannot_be_listed_hides_no_other(tmp_path: Path) -> None:
    files = read(bundle(kubectl(broken=("configmaps",)), tmp_path / "b"))
    assert "objects/configmap.yaml" not in files
    assert "objects/pod.yaml" in files


def test_a_cluster_that_does_not_answer_leaves_a_bundle(tmp_path: Path) -> None:
    def dead(argv: Sequence[str], **_options: object) -> Output:
        raise RunError(argv, "ended with code 1", stderr="connection refused")

    files = read(bundle(Kubectl("kubectl", Path("/k"), "", dead), tmp_path / "b", notes={"failure.txt": "gone"}))
    assert files["failure.txt"] == "gone\n"
    assert files["flux.txt"] == "Flux could not be asked\n"


def test_explain_follows_the_message_to_the_pods_and_redacts() -> None:
    key = Key("Kustomization", "flux-system", "apps")
    text = explain(kubectl(), Status(key, State.FAILED, "failed: Deployment/apps/web"))
    assert text.splitlines()[:3] == [
        "Kustomization/flux-system/apps: failed: failed: Deployment/apps/web",
        "  condition Ready=False HealthCheckFailed: failed: Deployment/apps/web",
        "  event 2026-11-01T00:00:00Z Warning Kustomization/flux-system/apps HealthCheckFailed: key (redacted)",
    ]
    assert "    | panic: no route to host" in text
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize(("status", "found"), [
    ({"containerStatuses": [{"name": "a", "ready": True}]}, []),
    ({"containerStatuses": [{"name": "a", "ready": False, "state": {"running": {}}}]}, [("a", "running, not ready")]),
    ({"initContainerStatuses": [{"name": "i", "ready": False, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}, []),
    ({"initContainerStatuses": [{"name": "i", "ready": False, "state": {"terminated": {"exitCode": 2, "message": "no"}}}]}, [("i", "ended with 2: no")]),
    ({"conditions": [condition("PodScheduled", "False", "Unschedulable", "0/1 nodes")]}, [("", "not scheduled: 0/1 nodes")]),
    ({"phase": "Succeeded", "containerStatuses": [{"name": "a", "ready": False}]}, []),
    (None, []),
])  # fmt: skip
def test_unready_containers(status: dict[str, Any] | None, found: list[tuple[str, str]]) -> None:
    assert list(unready_containers({"status": status})) == found


def test_secrets_of_objects() -> None:
    found = secrets_of(HELD["secrets"])
    assert {PASSWORD, encoded(PASSWORD), PRIVATE, PRIVATE.splitlines()[1]} <= found
    assert "ab" not in found
    assert not any("xxxx" in value for value in found)


def test_helm_history_is_in_order() -> None:
    records = [{"metadata": {"namespace": "a", "labels": {"owner": "helm", "name": "w", "version": version, "status": "s"}}} for version in ("10", "9", "odd")]
    assert helm_history([*records, {}]) == ["a/w v0 s ", "a/w v9 s ", "a/w v10 s "]


@pytest.mark.parametrize(("kind", "status", "bad"), [
    ("Ready", "True", False),
    ("Ready", "False", True),
    ("Available", "Unknown", True),
    ("MemoryPressure", "False", False),
    ("MemoryPressure", "True", True),
    ("Stalled", "True", True),
])  # fmt: skip
def test_bad_conditions(kind: str, status: str, bad: bool) -> None:
    assert bool(bad_conditions([named("Node", "n", "", status={"conditions": [condition(kind, status)]})])) is bad
