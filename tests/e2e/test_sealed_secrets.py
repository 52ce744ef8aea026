"""Sealed Secrets: what Git holds is opened in the cluster and used, nowhere else; keys are rotated, lost, and brought back from their backup."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from harness.engines.secrets.sealed import Scope
from harness.live.bootstrap.base import Journal
from harness.live.bootstrap.box import Keys
from harness.live.bootstrap.sealing import Pair, ensure_key, fingerprint, keys_of, new_pair, read_backup
from harness.live.faults import maker, scaled
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ground.sealing import SEALED, seal
from harness.live.proofs import require
from harness.live.reach.forwards import Client
from harness.live.reach.run import RunError
from harness.live.rules.secrets import BOUND, BROUGHT_BACK, CERTIFICATE, OPENED, ROTATED, SEALED_USED
from harness.live.secrets.sealed_keys import kept_aside, lost, settled
from harness.live.secrets.sealed_probe import Sealer, decoded, differences, new_name, signed_with

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

pytestmark = pytest.mark.proof(uses=("sealed-secrets",))

#: Where proofs make SealedSecrets of their own.
TENANT = "tenant-b"


def current(kubectl: Kubectl) -> Pair:
    """The pair that values are sealed for now."""
    there = ((kubectl.get("configmaps", "sealed-secrets-certificate", "flux-system") or {}).get("data") or {}).get("tls.crt", "")
    found = [pair for pair in keys_of(kubectl) if there and pair.fingerprint == fingerprint(there)]
    expect(
        CERTIFICATE,
        "ConfigMap/flux-system/sealed-secrets-certificate",
        bool(found),
        found="the certificate of no key that the cluster has" if there else "no certificate",
        expected="that of one of the cluster's sealing keys",
    )
    return found[0]


def controller(platform: Platform) -> Object:
    """The controller's Deployment."""
    found = platform.world.find("Deployment.apps", "sealed-secrets", "sealed-secrets-controller")
    if found is None:
        raise NotEvaluatedError("sealed-secrets", "controller", "the build of this cluster has no such Deployment")
    return found


def sealer_of(platform: Platform, seconds: float = 15) -> Sealer:
    """Sealed values in a tenant's namespace. The image is one that the platform runs: it has a shell."""
    job = platform.world.find("Job.batch", "vault", "vault-config")
    image = str(job.get("spec", "template", "spec", "containers", 0, "image", default="")) if job is not None else ""
    return Sealer(platform.cluster.kubectl, TENANT, image, seconds)


def test_what_is_sealed_in_git_is_open(platform: Platform, kubectl: Kubectl) -> None:
    # What this run does without stands in the ledger already.
    left = {name.rpartition("/")[2] for name in (platform.overlay.left_out if platform.overlay is not None else ())}
    waiting = []
    for applier in sorted({item.applier.name for item in platform.world.of(SEALED) if item.applier is not None} - left):
        try:
            require(platform, applier)
        except NotEvaluatedError:
            waiting.append(applier)
    ready = [item for item in platform.world.of(SEALED) if item.applier is None or item.applier.name not in {*waiting, *left}]
    for item, found in differences(kubectl, ready, keys_of(kubectl)):
        expect(OPENED, item, False, found=found, expected="Synced True, and in its Secret what is sealed")
    if waiting:
        raise NotEvaluatedError(SEALED, "that it is open", f"not ready: {', '.join(waiting)}")


def test_certificate_is_the_clusters(platform: Platform, kubectl: Kubectl) -> None:
    pair = current(kubectl)
    served = Client(platform.forwards, "svc/sealed-secrets-controller", 8080, "sealed-secrets").ask("/v1/cert.pem")
    found = fingerprint(served.text) if served.status == 200 else f"status {served.status}"
    expect(CERTIFICATE, controller(platform), found == pair.fingerprint, found=f"the controller offers {found[:16]}", expected=pair.fingerprint[:16])


@pytest.mark.proof(uses=("tenant-b",), breaks=("sealed-secrets",))
def test_a_sealed_value_reaches_a_pod(platform: Platform, kubectl: Kubectl) -> None:
    certificate, sealer, item = current(kubectl).certificate, sealer_of(platform, 20), controller(platform)
    if not sealer.image:
        raise NotEvaluatedError("sealed-secrets", "a value in a pod", "the build of this cluster has no image with a shell (Job vault-config)")
    found = sealer.used(certificate)
    expect(SEALED_USED, item, not found, found=found, expected="a pod reads the value that was sealed")
    platform.red(
        "SealedSecret -> Secret -> pod",
        "the controller is away",
        scaled(kubectl, "deployments.apps", item.name, item.namespace, suspending=maker(item)),
        lambda: sealer.used(certificate),
    )


@pytest.mark.proof(uses=("tenant-a",))
def test_the_application_signs_with_the_sealed_key(platform: Platform, kubectl: Kubectl) -> None:
    item = platform.world.find(SEALED, "tenant-a", "podinfo-token")
    if item is None:
        raise NotEvaluatedError("tenant-a", "podinfo-token", "the build of this cluster has no such SealedSecret")
    token = Client(platform.forwards, "svc/podinfo", 80, "tenant-a").json("/token", method="POST")["token"]
    secret = decoded(kubectl.get("secret", item.name, item.namespace) or {}).get("token", "")
    expect(SEALED_USED, item, bool(secret) and signed_with(token, secret), found="podinfo signs with another key", expected="the value that is sealed in Git")
    # An empty or common key would be just as well signed with.
    expect(SEALED_USED, item, not signed_with(token, token_hex(16)), found="any key fits the signature", expected="the sealed one only")


@pytest.mark.proof(uses=("tenant-b",))
@pytest.mark.parametrize(
    ("namespace", "name", "scope"),
    [("", "another-name", Scope.STRICT), ("another-namespace", "", Scope.STRICT), ("", "", Scope.NAMESPACE), ("", "", Scope.CLUSTER)],
    ids=["name", "namespace", "namespace-wide", "cluster-wide"],
)
def test_a_sealed_value_opens_in_its_place_only(platform: Platform, kubectl: Kubectl, namespace: str, name: str, scope: Scope) -> None:
    sealer, certificate, item = sealer_of(platform), current(kubectl).certificate, controller(platform)
    control = sealer.opens(certificate)
    expect(BOUND, item, not control, found=f"a value does not open in its own place: {control}", expected="it opens, or a refusal elsewhere says nothing")
    found = sealer.opens(certificate, namespace=namespace, name=name, scope=scope)
    expect(BOUND, item, "no key could decrypt secret" in found, found=found or "it was opened", expected="no key could decrypt secret")


@pytest.mark.proof(uses=("tenant-b", "policies-secrets"))
@pytest.mark.parametrize("scope", ["cluster-wide", "namespace-wide"])
def test_a_wider_scope_is_not_admitted(platform: Platform, kubectl: Kubectl, scope: str) -> None:
    name, certificate = new_name(), current(kubectl).certificate
    body = {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": name, "namespace": TENANT},
        "spec": {"encryptedData": {"token": seal(certificate, b"value", TENANT, name)}},
    }
    kubectl.apply([body], dry_run=True)
    body["metadata"] = {"name": name, "namespace": TENANT, "annotations": {f"sealedsecrets.bitnami.com/{scope}": "true"}}
    try:
        kubectl.apply([body], dry_run=True)
        found = "it is admitted"
    except RunError as error:
        found = error.reason
    item = platform.world.find("ValidatingPolicy.policies.kyverno.io", "", "restrict-sealed-secret-scope")
    expect(BOUND, item or "restrict-sealed-secret-scope", "Only the strict scope is allowed" in found, found=found, expected="refused by the policy")


@pytest.mark.proof(uses=("tenant-b",), breaks=("sealed-secrets",))
def test_rotation_keeps_what_was_sealed_before(platform: Platform, kubectl: Kubectl) -> None:
    sealer, item = sealer_of(platform), controller(platform)
    with tempfile.TemporaryDirectory(prefix="plimsoll-keys-") as folder, kept_aside(kubectl) as before:
        old = current(kubectl)
        box, keys = Path(folder, "sealing.box"), Keys(token_hex(16))
        new = ensure_key(kubectl, platform.world.cluster.name, box, keys, Journal(), now=datetime.now(UTC), rotate=True)
        settled(kubectl)
        expect(ROTATED, item, new not in before and keys_of(kubectl)[-1] == new, found="no newer key in the cluster", expected="the key that was made")
        served = Client(platform.forwards, "svc/sealed-secrets-controller", 8080, "sealed-secrets").ask("/v1/cert.pem").text
        expect(ROTATED, item, fingerprint(served) == new.fingerprint, found="the controller offers an older certificate", expected="the new one")
        for pair, which in ((new, "new"), (old, "old")):
            found = sealer.opens(pair.certificate)
            expect(ROTATED, item, not found, found=f"sealed with the {which} key: {found}", expected="it opens")
    found = sealer.opens(new.certificate)
    expect(ROTATED, item, "no key could decrypt secret" in found, found=found or "a key that is gone still opens", expected="no key could decrypt secret")


@pytest.mark.proof(uses=("tenant-b",), breaks=("sealed-secrets",))
def test_backup_opens_in_a_fresh_controller(platform: Platform, kubectl: Kubectl) -> None:
    sealer, item = sealer_of(platform), controller(platform)
    with tempfile.TemporaryDirectory(prefix="plimsoll-keys-") as folder, kept_aside(kubectl) as before:
        box, keys, old = Path(folder, "sealing.box"), Keys(token_hex(16)), current(kubectl)
        ensure_key(kubectl, platform.world.cluster.name, box, keys, Journal(), now=datetime.now(UTC))
        expect(BROUGHT_BACK, item, read_backup(box, keys) == before, found="the backup lacks keys of the cluster", expected="every key in it")
        other = new_pair("another cluster", datetime.now(UTC))
        platform.red(
            "sealing key -> controller",
            "the keys are lost, the controller has another one; then the backup is restored",
            lost(kubectl, other, lambda: read_backup(box, keys), Journal()),
            lambda: sealer.opens(old.certificate),
        )
