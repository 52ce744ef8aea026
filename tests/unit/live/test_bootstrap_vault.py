"""Vault from empty to configured, against a cluster that remembers: the order, runs that stop anywhere, keepers with keys of their own, no secret in sight."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from harness.live.bootstrap import keyfile as bootstrap_keyfile
from harness.live.bootstrap.base import BootstrapError
from harness.live.bootstrap.box import Keys
from harness.live.bootstrap.keyfile import Operator
from harness.live.bootstrap.vault_api import commands
from harness.live.reach.wait import WaitError

if TYPE_CHECKING:
    from harness.live.bootstrap.vault_api import Command

sys.path.insert(0, str(Path(__file__).parent))
from bootstrap_fakes import PASSPHRASE, Fake, LostError, Told, leaks, vault_of

CONFIGS = Path(__file__).parents[3] / "clusters" / "base" / "infrastructure" / "vault" / "configs"


@pytest.fixture(scope="module")
def script() -> list[Command]:
    files = {path.name: path.read_text(encoding="utf-8") for path in CONFIGS.glob("*.hcl")}
    return commands((CONFIGS / "configure.sh").read_text(encoding="utf-8"), files)


def cluster(members: int = 1, seal: str = "shamir") -> Fake:
    """A cluster whose Job gets through once its role is there, as the real one does."""

    def reconcile(fake: Fake) -> None:
        if "auth/kubernetes/role/vault-config" in fake.vault.written:
            fake.add("Job", "vault-config", "vault", status={"succeeded": 1})
        if fake.vault.seal != "shamir" and fake.vault.shares:
            fake.vault.open |= {f"vault-{number}" for number in range(members)}

    fake = Fake(reconcile=reconcile)
    fake.vault.seal = seal
    fake.add("StatefulSet", "vault", "vault", spec={"replicas": members})
    for number in range(members):
        fake.add("Pod", f"vault-{number}", "vault", labels={"app.kubernetes.io/name": "vault", "component": "server"}, status={"phase": "Running"})
    return fake


@pytest.fixture
def keyfile(tmp_path: Path) -> Path:
    return tmp_path / "vault.box"


def test_the_steps_are_what_the_script_says(script: list[Command]) -> None:
    assert [str(command) for command in script] == [
        "vault audit enable -path=file file file_path=/vault/audit/audit.log mode=0600",
        "vault auth enable kubernetes",
        "vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc",
        "vault policy write vault-config vault-config.policy.hcl",
        "vault write auth/kubernetes/role/vault-config bound_service_account_names=vault-config bound_service_account_namespaces=vault "
        "audience=vault token_policies=vault-config token_ttl=15m",
    ]


def test_order_from_empty(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    told = Told(fake)
    assert vault_of(fake, told, keyfile).up(script, 5, 3)
    assert [call for call in fake.calls if not call.startswith(("GET", "get"))] == [
        "PUT sys/init",
        "PUT sys/unseal",
        "PUT sys/unseal",
        "PUT sys/unseal",
        "PUT sys/audit/file",
        "POST sys/auth/kubernetes",
        "PUT auth/kubernetes/config",
        "PUT sys/policies/acl/vault-config",
        "PUT auth/kubernetes/role/vault-config",
        "POST auth/token/revoke-self",
    ]
    assert fake.vault.written["auth/kubernetes/role/vault-config"] == {
        "bound_service_account_names": "vault-config",
        "bound_service_account_namespaces": "vault",
        "audience": "vault",
        "token_policies": "vault-config",
        "token_ttl": "15m",
    }
    assert 'path "sys/policies/acl/*"' in fake.vault.written["sys/policies/acl/vault-config"]["policy"]
    assert fake.vault.audit == {"file/": {"type": "file", "options": {"file_path": "/vault/audit/audit.log", "mode": "0600"}}}
    assert fake.vault.tokens == set()


def test_second_run_changes_nothing(script: list[Command], keyfile: Path) -> None:
    fake = cluster(3)
    assert vault_of(fake, Told(fake), keyfile).up(script, 5, 3)
    before, text, contents = len(fake.calls), keyfile.read_bytes(), fake.vault.contents
    vault = vault_of(fake, Told(fake), keyfile)
    journal = vault.journal
    assert vault.up(script, 5, 3)
    assert [call for call in fake.calls[before:] if not call.startswith(("GET", "get"))] == []
    assert (journal.changes, keyfile.read_bytes(), fake.vault.contents) == (0, text, contents)


def interrupted(script: list[Command], keyfile: Path, number: int, *, after: bool) -> tuple[Fake, Told, bool]:
    """A run that is killed at a call, and the run after it. The last of the three says whether it was killed at all."""
    fake = cluster(2)
    told = Told(fake)
    fake.fail_at, fake.after = number, after
    killed = False
    try:
        vault_of(fake, told, keyfile).up(script, 3, 2)
    except LostError:
        killed = True
    fake.fail_at = 0
    vault_of(fake, told, keyfile).up(script, 3, 2)
    return fake, told, killed


@pytest.mark.parametrize("after", [pytest.param(False, id="before-it-has-effect"), pytest.param(True, id="after-it-had-effect")])
def test_a_run_that_was_killed_anywhere_is_run_again(script: list[Command], tmp_path: Path, after: bool) -> None:
    undisturbed = interrupted(script, tmp_path / "undisturbed", 0, after=False)[0].vault.contents
    lost_keys: list[str] = []
    for number in range(1, 200):
        keyfile = tmp_path / f"{number}.box"
        try:
            fake, told, killed = interrupted(script, keyfile, number, after=after)
        except BootstrapError as error:
            lost_keys.append(str(error))
            continue
        if not killed:
            break
        assert fake.vault.contents == undisturbed, fake.calls[number - 1]
        assert bootstrap_keyfile.read(keyfile, "kind").root is None
        assert leaks(told.everything(keyfile), fake.vault.secrets) == []
    assert number > 30
    # The one answer that nobody can get again is that of the initialisation.
    assert [("docs/operations.md, Vault without keys" in text) for text in lost_keys] == ([True] if after else [])


def test_nothing_secret_is_told_or_left_readable(script: list[Command], tmp_path: Path) -> None:
    fake = cluster(3)
    told = Told(fake)
    vault = vault_of(fake, told, tmp_path / "vault.box")
    vault.up(script, 5, 3)
    secrets = [*fake.vault.secrets, PASSPHRASE]
    assert len(secrets) == 7
    assert leaks(told.everything(tmp_path) + repr(vault) + repr(vault.keys), secrets) == []
    assert (tmp_path / "vault.box").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["vault.box"]


def test_refusals_hold_no_secret(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    told = Told(fake)
    vault_of(fake, told, keyfile).up(script, 3, 2)
    fake.vault.open.clear()
    wrong = "d3Jvbmcgc2hhcmUgdGhhdCBub2JvZHkgbWFkZQ=="
    with pytest.raises(BootstrapError, match="vault-0: Vault refuses") as refused:
        vault_of(fake, told, keyfile).unseal([wrong])
    assert wrong not in str(refused.value)
    with pytest.raises(BootstrapError, match="no share can be opened") as refused:
        vault_of(fake, told, keyfile, Keys("another passphrase altogether")).unseal()
    assert leaks(str(refused.value) + told.everything(), [*fake.vault.secrets, PASSPHRASE, "another passphrase altogether"]) == []


def test_keepers_unseal_one_after_the_other(script: list[Command], keyfile: Path) -> None:
    people = {name: X25519PrivateKey.generate() for name in ("alice", "bob", "carol")}
    operators = [Operator(name, key.public_key()) for name, key in people.items()]
    keys = {name: Keys(identities=[key]) for name, key in people.items()}
    fake = cluster()
    told = Told(fake)
    assert not vault_of(fake, told, keyfile, keys["alice"]).up(script, 5, 2, operators)
    assert len(fake.vault.shares) == 3
    assert not fake.vault.open
    assert not vault_of(fake, told, keyfile, keys["alice"]).unseal(), "a share counts once"
    assert vault_of(fake, told, keyfile, keys["bob"]).unseal()
    assert fake.vault.open == {"vault-0"}
    assert vault_of(fake, told, keyfile, keys["carol"]).up(script, 5, 2, operators)
    assert fake.vault.tokens == set()
    assert "vault-0: sealed, 1 of 2 shares" in told.text.getvalue()
    content = bootstrap_keyfile.read(keyfile, "kind")
    assert [content.shares(keys[name]) for name in people] == [[share] for share in fake.vault.shares]
    assert leaks(told.everything(keyfile), fake.vault.secrets) == []


def test_a_vault_with_a_key_service_unseals_itself(script: list[Command], keyfile: Path) -> None:
    fake = cluster(3, "awskms")
    assert vault_of(fake, Told(fake), keyfile).up(script, 5, 3)
    assert "PUT sys/unseal" not in fake.calls
    assert bootstrap_keyfile.read(keyfile, "kind").seal == "awskms"


def test_members_that_do_not_answer_yet_are_waited_for(script: list[Command], keyfile: Path) -> None:
    fake = cluster(2)
    told = Told(fake)
    fake.vault.away = {"vault-1"}
    appear = fake.reconcile

    def later(fake: Fake) -> None:
        appear(fake)
        if fake.now > 20:
            fake.vault.away = set()

    fake.reconcile = later
    assert vault_of(fake, told, keyfile).up(script, 3, 2)
    assert fake.vault.open == {"vault-0", "vault-1"}
    assert "vault-1 does not answer" in told.text.getvalue()


def test_a_job_that_does_not_get_through_keeps_the_root_token(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    fake.reconcile = lambda _fake: None
    with pytest.raises(WaitError, match="the Job vault-config configures Vault"):
        vault_of(fake, Told(fake), keyfile).up(script, 3, 2)
    assert len(fake.vault.tokens) == 1
    assert bootstrap_keyfile.read(keyfile, "kind").root is not None


def test_until_unsealed_keeps_the_root_token(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    vault = vault_of(fake, Told(fake), keyfile)
    assert vault.up(script, 1, 1, until_unsealed=True)
    assert (fake.vault.open, fake.vault.written) == ({"vault-0"}, {})
    assert fake.vault.tokens == {bootstrap_keyfile.read(keyfile, "kind").token(vault.keys)}


@pytest.mark.parametrize(("shares", "threshold"), [(5, 0), (5, 1), (3, 4), (0, 0)])
def test_impossible_numbers_are_refused_before_anything_is_done(script: list[Command], keyfile: Path, shares: int, threshold: int) -> None:
    fake = cluster()
    with pytest.raises(BootstrapError, match="the threshold is 2 at least"):
        vault_of(fake, Told(fake), keyfile).up(script, shares, threshold)
    assert fake.vault.shares == []


def test_keys_that_could_not_be_kept_are_not_made(script: list[Command], tmp_path: Path) -> None:
    fake = cluster()
    with pytest.raises(BootstrapError, match="cannot be written"):
        vault_of(fake, Told(fake), tmp_path / "no" / "such" / "folder").up(script, 3, 2)
    with pytest.raises(BootstrapError, match="shorter than 12"):
        vault_of(fake, Told(fake), tmp_path / "vault.box", Keys("short")).up(script, 3, 2)
    (tmp_path / "old.box").write_text("{}", encoding="utf-8")
    with pytest.raises(BootstrapError, match="the keys of another or an earlier Vault"):
        vault_of(fake, Told(fake), tmp_path / "old.box").up(script, 3, 2)
    assert fake.vault.shares == []


def test_another_clusters_keys_are_refused(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    vault_of(fake, Told(fake), keyfile).up(script, 3, 2)
    with pytest.raises(BootstrapError, match="keys of the cluster kind, not of production"):
        bootstrap_keyfile.read(keyfile, "production")
    keyfile.write_text(json.dumps({"format": "something"}), encoding="utf-8")
    with pytest.raises(BootstrapError, match="no file with Vault's keys"):
        bootstrap_keyfile.read(keyfile, "kind")


def test_a_root_token_from_shares(script: list[Command], keyfile: Path) -> None:
    fake = cluster()
    told = Told(fake)
    vault = vault_of(fake, told, keyfile)
    vault.up(script, 3, 2)
    with pytest.raises(BootstrapError, match="makes no root tokens from shares"):
        vault.new_root()
    fake.vault.roots_from_shares = True
    vault.new_root()
    assert fake.vault.tokens == {bootstrap_keyfile.read(keyfile, "kind").token(vault.keys)}
    vault.revoke()
    assert fake.vault.tokens == set()
    assert leaks(told.everything(keyfile), fake.vault.secrets) == []


def test_snapshot_and_restore(script: list[Command], keyfile: Path, tmp_path: Path) -> None:
    fake = cluster()
    vault = vault_of(fake, Told(fake), keyfile)
    vault.initialise(1, 1)
    vault.unseal()
    target = tmp_path / "vault.snap"
    assert vault.snapshot(target) == len(target.read_bytes())
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BootstrapError, match="is there already"):
        vault.snapshot(target)
    vault.restore(target, other_keys=True)
    assert fake.vault.restored == target.read_bytes()
    assert "PUT sys/storage/raft/snapshot-force" in fake.calls
    with pytest.raises(BootstrapError, match="no snapshot of Vault"):
        vault.restore(keyfile, other_keys=False)
    with pytest.raises(BootstrapError, match="gave no snapshot: permission denied"):
        vault.snapshot(tmp_path / "other.snap", "hvs.unknown")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("#!/bin/sh\n# words\n", "names no vault command"),
        ("#!/bin/sh\n#   vault secrets enable kv\n", "vault secrets enable kv: not a command"),
        ("#!/bin/sh\n#   vault policy write p p.hcl\n", "not a command"),
        ("#!/bin/sh\n#   vault write a b\n", "b: not key=value"),
    ],
)
def test_commands_that_are_not_known_are_refused(text: str, error: str) -> None:
    with pytest.raises(BootstrapError, match=error):
        commands(text, {})
