"""The commands of the bootstrap as somebody runs them, on a copy of the repository's cluster and a cluster that remembers."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.commands.bootstrap import common
from harness.flux.reduce import reduce
from harness.live.bootstrap import box as bootstrap_box
from harness.live.bootstrap import keyfile as bootstrap_keyfile
from harness.live.bootstrap import sealing as bootstrap_sealing
from harness.live.bootstrap import vault as bootstrap_vault
from harness.live.bootstrap import vault_api as bootstrap_vault_api
from harness.live.bootstrap.keyfile import read as read_keyfile
from harness.live.bootstrap.values import CERTIFICATE
from harness.live.ground.sealing import unseal
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.wait import Clock

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
from bootstrap_fakes import PASSPHRASE, SCRYPT, Fake, leaks

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Said

ROOT = Path(__file__).parents[3]
CONFIGS = "clusters/base/infrastructure/vault/configs"
TAG = "v2.9.4"
COMPONENT = "clusters/base/infrastructure/flux"
SEALED = """\
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  name: grafana-admin
  namespace: monitoring
spec:
  encryptedData:
    admin-password: {value}
  template:
    type: Opaque
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one cluster of the name kind, one sealed value, Vault's scripts and Flux's pin."""
    found = tmp_path / "repository"
    folder = found / "clusters" / "kind"
    shutil.copytree(ROOT / "clusters" / "kind" / "flux-system", folder / "flux-system")
    shutil.copytree(ROOT / CONFIGS, found / CONFIGS)
    (found / COMPONENT).mkdir(parents=True)
    shutil.copy(ROOT / COMPONENT / "ocirepository.yaml", found / COMPONENT)
    shutil.copy(ROOT / "clusters" / "kind" / CERTIFICATE, folder)
    values = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cluster-sealed-values", "namespace": "flux-system"},
        "data": {"GRAFANA_PASSWORD_SEALED": "AgAfirst"},
    }
    (folder / "cluster-sealed-values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (folder / "sealed.yaml").write_text(SEALED.format(value="AgAfirst"), encoding="utf-8")
    listed = ["cluster-sealed-values.yaml", "flux-system", "sealed-secrets-certificate.yaml", "sealed.yaml"]
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": listed}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return found


def reconcile(fake: Fake) -> None:
    for (kind, _namespace, _name), item in fake.objects.items():
        if kind in ("Deployment", "Kustomization", "OCIRepository"):
            item["status"] = {
                "conditions": [{"type": (kind == "Deployment" and "Available") or "Ready", "status": "True"}],
                "lastAppliedRevision": "kind@sha256:1",
            }
    if "auth/kubernetes/role/vault-config" in fake.vault.written:
        fake.add("Job", "vault-config", "vault", status={"succeeded": 1})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """The cluster, in the place of kubectl and of Vault's address."""
    found = Fake(reconcile=reconcile)
    found.add("StatefulSet", "vault", "vault", spec={"replicas": 1})
    found.add("Pod", "vault-0", "vault", labels={"app.kubernetes.io/name": "vault", "component": "server"}, status={"phase": "Running"})
    for module in (bootstrap_box, bootstrap_keyfile, bootstrap_sealing, bootstrap_vault):
        for name in ("close", "make", "write_backup", "ensure_key"):
            function = getattr(module, name, None)
            if function is not None and function.__kwdefaults__:
                monkeypatch.setitem(function.__kwdefaults__, "work", SCRYPT)
    monkeypatch.setitem(bootstrap_sealing.ensure_key.__kwdefaults__ or {}, "bits", 2048)
    monkeypatch.setattr(bootstrap_vault.Vault, "work", SCRYPT)
    monkeypatch.setattr(
        bootstrap_vault.Vault.__init__, "__defaults__", tuple(SCRYPT if each == 2**17 else each for each in bootstrap_vault.Vault.__init__.__defaults__ or ())
    )
    clock = found.clock
    monkeypatch.setattr(Clock.__init__, "__defaults__", (clock.now, clock.sleep))
    monkeypatch.setattr(common, "Kubectl", lambda program, config, context: Kubectl(program, config, context, found))
    monkeypatch.setattr(bootstrap_vault_api.Forwarded, "__call__", lambda _self, pod: found.connect(pod))
    (tmp_path / "kubeconfig").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("THE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return found


@pytest.fixture
def bootstrap(command: Callable[..., Said], repository: Path, fake: Fake) -> Callable[..., Said]:
    def run(*words: str) -> Said:
        where = () if words[0] == "seal" else ("--context", "kind-kind")
        return command("bootstrap", *words, "--repo", str(repository), "--cluster", "kind", *where)

    return run


def manifests(path: Path, tag: str = TAG) -> Path:
    labels = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": tag}
    bodies = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "source-controller", "namespace": "flux-system", "labels": labels}},
    ]
    path.write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
    return path


PASSWORD = "--passphrase-env=THE_PASSPHRASE"


def test_the_whole_bootstrap(bootstrap: Callable[..., Said], repository: Path, fake: Fake, tmp_path: Path) -> None:
    sealing, keys = tmp_path / "sealing.box", tmp_path / "vault.box"
    said: list[Any] = [bootstrap("plan")]
    assert said[-1].code == 0
    assert "to do     flux                  the cluster has none" in said[-1].out
    assert "bootstrap flux --cluster kind --context kind-kind" in said[-1].out
    said.append(bootstrap("status"))
    assert said[-1].code == 1

    said.append(bootstrap("sealing-key", "ensure", "--backup", str(sealing), PASSWORD))
    assert (said[-1].code, said[-1].out.splitlines()[-2:]) == (0, ["1 values are not sealed for this certificate: bootstrap seal --cluster kind", "done"])

    values = tmp_path / "values.yaml"
    values.write_text("GRAFANA_PASSWORD_SEALED: the password of the administrator\n", encoding="utf-8")
    values.chmod(0o600)
    listed = bootstrap("seal", "--list")
    assert (listed.code, listed.out) == (1, "GRAFANA_PASSWORD_SEALED: Secret monitoring/grafana-admin, key admin-password, to be sealed\n")
    said.append(bootstrap("seal", "--values", str(values)))
    assert (said[-1].code, said[-1].err) == (0, "")
    values.unlink()
    sealed = yaml.safe_load((repository / "clusters/kind/cluster-sealed-values.yaml").read_text(encoding="utf-8"))["data"]["GRAFANA_PASSWORD_SEALED"]
    pair = bootstrap_sealing.keys_of(fake.kubectl)[0]
    assert unseal(pair.key, sealed, "monitoring", "grafana-admin") == b"the password of the administrator"
    # What is applied from here on is what Git has now.
    (repository / "clusters/kind/sealed.yaml").write_text(SEALED.format(value=sealed), encoding="utf-8")

    said.append(bootstrap("flux", "--manifests", str(manifests(tmp_path / "flux.yaml"))))
    assert said[-1].out.splitlines()[-2:] == ["Flux has built clusters/kind at kind@sha256:1", "done"]
    said.append(bootstrap("vault", "up", "--keys", str(keys), PASSWORD))
    assert said[-1].code == 0, said[-1].err
    said.append(bootstrap("status", "--keys", str(keys)))
    assert (said[-1].code, {line[:4] for line in said[-1].out.splitlines()}) == (0, {"done"})
    told = json.loads(bootstrap("plan", "--keys", str(keys), "--format", "json").out)
    assert {step["state"] for step in told} == {"done"}

    before = {key: json.dumps(item) for key, item in fake.objects.items()}, fake.vault.contents, sealing.read_bytes(), keys.read_bytes()
    for words in (
        ("sealing-key", "ensure", "--backup", str(sealing), PASSWORD),
        ("sealing-key", "restore", "--backup", str(sealing), PASSWORD),
        ("sealing-key", "backup", "--backup", str(sealing), PASSWORD),
        ("seal",),
        ("flux", "--manifests", str(tmp_path / "flux.yaml")),
        ("vault", "up", "--keys", str(keys), PASSWORD),
        ("vault", "unseal", "--keys", str(keys), PASSWORD),
        ("vault", "revoke", "--keys", str(keys), PASSWORD),
    ):
        again = bootstrap(*words)
        assert (again.code, again.out.splitlines()[-1]) == (0, "nothing to do"), words
        said.append(again)
    assert ({key: json.dumps(item) for key, item in fake.objects.items()}, fake.vault.contents, sealing.read_bytes(), keys.read_bytes()) == before

    secrets = [*fake.vault.secrets, PASSPHRASE, "the password of the administrator", *(line for line in pair.key.splitlines() if "-" not in line)]
    written = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    assert leaks("".join(each.out + each.err for each in said) + repr(fake.argvs) + written, secrets) == []


@pytest.mark.parametrize("words", [("plan",), ("status",), ("flux",), ("sealing-key", "ensure", "--backup", "x"), ("vault", "up", "--keys", "x")])
def test_foreign_contexts_are_refused(command: Callable[..., Said], repository: Path, fake: Fake, words: tuple[str, ...]) -> None:
    refused = command("bootstrap", *words, "--repo", str(repository), "--cluster", "kind", "--context", "production")
    assert (refused.code, refused.out) == (2, "")
    assert (
        refused.err == "error: context production is not named after the cluster kind: add --i-know-this-is production when it is that cluster nevertheless\n"
    )
    assert fake.calls == []
    assert command("bootstrap", *words, "--repo", str(repository), "--cluster", "kind").code == 2
    fake.add("ConfigMap", "cluster-vars", "flux-system", data={"CLUSTER_NAME": "production"})
    refused = command("bootstrap", *words, "--repo", str(repository), "--cluster", "kind", "--context", "production", "--i-know-this-is", "production")
    assert refused.code == 2
    assert "says that it is production" in refused.err
    assert set(fake.calls) == {"get"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("flux",), "sync root: "),
        (("sealing-key", "ensure", "--backup", "x.box"), "the cluster has 0 sealing keys"),
        (("seal",), "GRAFANA_PASSWORD_SEALED: Secret monitoring/grafana-admin, key admin-password, to be sealed"),
        (("vault", "up"), "once: vault auth enable kubernetes"),
    ],
)
def test_dry_run_changes_nothing(bootstrap: Callable[..., Said], fake: Fake, words: tuple[str, ...], expected: str) -> None:
    said = bootstrap(*words, "--dry-run")
    assert said.code == 0, said.err
    assert expected in said.out
    assert {call.split("/")[0] for call in fake.calls if not call.startswith(("get", "kustomize"))} <= {"GET sys"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("flux",), "Flux v2.9.4 is not at hand: give --manifests FILE, --charts DIR with flux-v2.9.4.yaml, or --pull"),
        (("flux", "--manifests", "nowhere.yaml"), "nowhere.yaml cannot be read"),
        (("sealing-key", "ensure", "--backup", "x.box"), "Passphrase of the encrypted file: there is no terminal to ask at"),
        (("sealing-key", "restore", "--backup", "x.box", PASSWORD), "x.box: No such file or directory"),
        (("sealing-key", "backup", "--rotate", "--backup", "x.box"), "--rotate goes with ensure"),
        (("sealing-key", "ensure", "--backup", "x.box", "--passphrase-env", "NOT_SET"), "the passphrase is empty"),
        (("seal",), "GRAFANA_PASSWORD_SEALED (Secret monitoring/grafana-admin, key admin-password): there is no terminal to ask at"),
        (("seal", "--values", "nowhere.yaml"), "nowhere.yaml: No such file or directory"),
        (("seal", "--env"), "not given: GRAFANA_PASSWORD_SEALED"),
        (("seal", "--only", "OTHER"), "there is no value OTHER: there are GRAFANA_PASSWORD_SEALED"),
        (("vault", "up"), "say where Vault's keys are, or go to, with --keys FILE"),
        (("vault", "up", "--keys", "x.box", PASSWORD, "--threshold", "9"), "9 of 5 shares"),
        (("vault", "up", "--keys", "x.box", "--operator", "alice"), "--operator alice: write NAME=FILE"),
        (("vault", "unseal", "--prompt"), "Vault is not initialised: bootstrap vault up"),
        (("vault", "snapshot", "--keys", "x.box", PASSWORD), "say which snapshot with --file FILE"),
        (("vault", "restore", "--keys", "x.box", PASSWORD, "--file", "x.snap"), "there is nobody to ask; add --yes when it is meant"),
        (("vault", "run", "--keys", "x.box", PASSWORD), "say what to run with --exec PROGRAM ..."),
    ],
)
def test_what_cannot_be_done_says_why(
    bootstrap: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bootstrap(*words)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert error in said.err


def test_manifests_must_be_those_that_the_lock_has_proven(bootstrap: Callable[..., Said], repository: Path, fake: Fake, tmp_path: Path) -> None:
    assert "of Flux v2.0.0, the repository pins v2.9.4" in bootstrap("flux", "--manifests", str(manifests(tmp_path / "old.yaml", "v2.0.0"))).err
    good = manifests(tmp_path / "good.yaml")
    lock = repository / "tests" / "lock" / "artifacts" / f"flux-manifests-{TAG}.json"
    lock.parent.mkdir(parents=True)
    bodies = [reduce(body) for body in yaml.safe_load_all(good.read_text(encoding="utf-8"))]
    lock.write_text(json.dumps({"documents": bodies}), encoding="utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text(good.read_text(encoding="utf-8") + "---\nkind: ServiceAccount\nmetadata: {name: more}\n", encoding="utf-8")
    assert "1 objects differ, ServiceAccount/more first" in bootstrap("flux", "--manifests", str(changed)).err
    assert [call for call in fake.calls if call.startswith("apply")] == []
    assert bootstrap("flux", "--manifests", str(good)).code == 0


def test_values_that_others_can_read_are_told_of_and_odd_ones_not_shown(bootstrap: Callable[..., Said], tmp_path: Path, fake: Fake) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("GRAFANA_PASSWORD_SEALED: 'a secret that is cut off\n", encoding="utf-8")
    values.chmod(0o644)
    said = bootstrap("seal", "--values", str(values))
    assert said.code == 2
    assert "can be read by others" in said.err
    assert "a secret" not in said.out + said.err
    values.write_text("GRAFANA_PASSWORD_SEALED: 12345678\n", encoding="utf-8")
    said = bootstrap("seal", "--values", str(values))
    assert "every value a text" in said.err
    assert "12345678" not in said.out + said.err


def test_restore_asks_first_and_run_keeps_the_token_out_of_sight(
    bootstrap: Callable[..., Said], fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, snapshot = tmp_path / "vault.box", tmp_path / "vault.snap"
    snapshot.write_bytes(b"\x1f\x8bsnapshot")
    assert bootstrap("vault", "up", "--keys", str(keys), PASSWORD).code == 0
    assert "holds no root token any more" in bootstrap("vault", "restore", "--keys", str(keys), PASSWORD, "--file", str(snapshot), "--yes").err
    monkeypatch.setenv("VAULT_TOKEN", next(iter({"hvs.given"})))
    fake.vault.tokens.add("hvs.given")
    said = bootstrap("vault", "restore", "--file", str(snapshot), "--yes", "--other-keys")
    assert said.code == 0, said.err
    assert fake.vault.restored == snapshot.read_bytes()
    assert "hvs.given" not in said.out + said.err + repr(fake.argvs)
    assert read_keyfile(keys, "kind").root is None
