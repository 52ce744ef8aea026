"""The sealing key: kept before it is used, brought back as it was; and the files of a cluster that hold what is sealed with it."""

from __future__ import annotations

import base64
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness.engines.secrets.sealed import Scope
from harness.live.bootstrap.base import BootstrapError
from harness.live.bootstrap.box import Keys, NotForYouError
from harness.live.bootstrap.sealing import Pair, ensure_key, fingerprint, keys_of, new_pair, read_backup, restore, write_backup
from harness.live.bootstrap.values import CERTIFICATE, VALUES, certificate_of, outstanding, read, reseal, write_certificate
from harness.live.ground.sealing import Target, seal, unseal

sys.path.insert(0, str(Path(__file__).parent))
from bootstrap_fakes import PASSPHRASE, SCRYPT, Fake, LostError, Told, leaks

BITS = 1024
NOW = datetime(2026, 11, 23, tzinfo=UTC)
KEYS = Keys(PASSPHRASE)
KIND = Path(__file__).parents[3] / "clusters" / "kind"


@pytest.fixture(scope="module")
def pair() -> Pair:
    return new_pair("kind", NOW, bits=BITS)


@pytest.fixture(scope="module")
def newer() -> Pair:
    return new_pair("kind", NOW.replace(day=24), bits=BITS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cluster's folder with the two files, as Git has them."""
    found = tmp_path / "clusters" / "kind"
    found.mkdir(parents=True)
    for name in (CERTIFICATE, VALUES):
        shutil.copy(KIND / name, found / name)
    return found


def ensure(fake: Fake, told: Told, backup: Path, *, rotate: bool = False) -> Pair:
    return ensure_key(fake.kubectl, "kind", backup, KEYS, told.journal, now=NOW, rotate=rotate, bits=BITS, work=SCRYPT)


def private_lines(pair: Pair) -> list[str]:
    return [line for line in pair.key.splitlines() if not line.startswith("-")]


def test_a_key_is_kept_before_the_cluster_has_it(tmp_path: Path) -> None:
    fake = Fake()
    told = Told(fake)
    made = ensure(fake, told, tmp_path / "sealing.box")
    secret = fake.objects["Secret", "sealed-secrets", made.secret_name]
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["metadata"]["labels"] == {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}
    assert base64.b64decode(secret["data"]["tls.key"]).decode() == made.key
    assert keys_of(fake.kubectl) == read_backup(tmp_path / "sealing.box", KEYS) == [made]
    assert leaks(told.everything(tmp_path) + repr(made), [*private_lines(made), PASSPHRASE]) == []
    assert (tmp_path / "sealing.box").stat().st_mode & 0o777 == 0o600


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    fake = Fake()
    backup = tmp_path / "sealing.box"
    made = ensure(fake, Told(fake), backup)
    before, calls = backup.read_bytes(), len(fake.calls)
    assert ensure(fake, Told(fake), backup) == made
    assert (backup.read_bytes(), fake.calls[calls:]) == (before, ["get"])


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_was_killed_anywhere_is_run_again(tmp_path: Path, after: bool) -> None:
    for number in range(1, 30):
        fake = Fake(fail_at=number, after=after)
        told = Told(fake)
        backup = tmp_path / f"{number}.box"
        killed = False
        try:
            ensure(fake, told, backup)
        except LostError:
            killed = True
        fake.fail_at = 0
        kept = read_backup(backup, KEYS) if backup.exists() else []
        made = ensure(fake, told, backup)
        assert kept in ([], [made]), "a key that was kept is the one that is used"
        assert keys_of(fake.kubectl) == read_backup(backup, KEYS) == [made]
        if not killed:
            break
    assert number == 7


def test_a_key_of_the_controller_is_kept_too(tmp_path: Path, pair: Pair) -> None:
    fake = Fake()
    restore(fake.kubectl, [pair], Told(fake).journal)
    assert ensure(fake, Told(fake), tmp_path / "sealing.box") == pair
    assert read_backup(tmp_path / "sealing.box", KEYS) == [pair]


def test_rotation_adds_a_key_and_the_controller_reads_it(tmp_path: Path, pair: Pair) -> None:
    fake = Fake()
    told = Told(fake)
    restore(fake.kubectl, [pair], told.journal)
    fake.add("Pod", "sealed-secrets-controller-1", "sealed-secrets", labels={"app.kubernetes.io/name": "sealed-secrets"})
    made = ensure_key(fake.kubectl, "kind", tmp_path / "sealing.box", KEYS, told.journal, now=NOW.replace(day=30), rotate=True, bits=BITS, work=SCRYPT)
    assert keys_of(fake.kubectl) == read_backup(tmp_path / "sealing.box", KEYS) == [pair, made]
    assert "delete pods" in fake.calls


def test_restore_into_an_empty_cluster(tmp_path: Path, pair: Pair, newer: Pair) -> None:
    fake, other = Fake(), Fake()
    restore(fake.kubectl, [newer, pair], Told(fake).journal)
    assert write_backup(tmp_path / "sealing.box", keys_of(fake.kubectl), "kind", KEYS, Told(fake).journal, work=SCRYPT)
    sealed = seal(pair.certificate, b"value", "monitoring", "grafana")
    restore(other.kubectl, read_backup(tmp_path / "sealing.box", KEYS), Told(other).journal)
    assert [each.fingerprint for each in keys_of(other.kubectl)] == [pair.fingerprint, newer.fingerprint]
    assert unseal(keys_of(other.kubectl)[0].key, sealed, "monitoring", "grafana") == b"value"


def test_a_backup_never_loses_a_key(tmp_path: Path, pair: Pair, newer: Pair) -> None:
    fake = Fake()
    journal = Told(fake).journal
    backup = tmp_path / "sealing.box"
    assert write_backup(backup, [pair, newer], "kind", KEYS, journal, work=SCRYPT)
    assert not write_backup(backup, [newer, pair], "kind", KEYS, journal, work=SCRYPT)
    with pytest.raises(BootstrapError, match="holds 1 keys that the cluster does not have"):
        write_backup(backup, [pair], "kind", KEYS, journal, work=SCRYPT)
    with pytest.raises(NotForYouError, match=r"sealing\.box: sealing keys of kind: wrong passphrase or key"):
        read_backup(backup, Keys("wrong horse battery staple"))
    with pytest.raises(BootstrapError, match="no sealing key to keep"):
        write_backup(tmp_path / "other.box", [], "kind", KEYS, journal, work=SCRYPT)
    (tmp_path / "odd.box").write_text("no", encoding="utf-8")
    with pytest.raises(BootstrapError, match="no encrypted file of this program"):
        read_backup(tmp_path / "odd.box", KEYS)


def test_a_refused_secret_shows_nothing(pair: Pair) -> None:
    from harness.live.reach.run import RunError

    class Refusing(Fake):
        def _do(self, words: list[str], stdin: str) -> str:
            if '"Secret"' in stdin:
                raise RunError(words, "ended with code 1", code=1, stderr=f"Error from server: cannot take {stdin}")
            return super()._do(words, stdin)

    fake = Refusing()
    with pytest.raises(BootstrapError, match="was refused") as refused:
        restore(fake.kubectl, [pair], Told(fake).journal)
    assert leaks(str(refused.value), private_lines(pair)) == []
    assert "(secret)" in str(refused.value)


def where_of(folder: Path) -> dict[str, Target]:
    return {name: Target("monitoring", "all", name, Scope.STRICT) for name in read(folder, VALUES).data}


def test_new_certificate_then_every_value(folder: Path, pair: Pair, tmp_path: Path) -> None:
    fake = Fake()
    told = Told(fake)
    assert write_certificate(folder, pair.certificate, told.journal)
    assert not write_certificate(folder, pair.certificate, told.journal)
    assert certificate_of(folder) == pair.certificate
    where = where_of(folder)
    assert outstanding(folder) == sorted(where)
    given = {name: f"value of {name} number 1".encode() for name in where}
    with pytest.raises(BootstrapError, match=r"every value must be sealed again; not given: OPERATORS_HTPASSWD_SEALED$"):
        reseal(folder, where, {name: value for name, value in given.items() if name != "OPERATORS_HTPASSWD_SEALED"}, told.journal)
    reseal(folder, where, given, told.journal)
    document = read(folder, VALUES)
    assert document.sealed_for == fingerprint(pair.certificate)
    assert {name: unseal(pair.key, value, "monitoring", "all") for name, value in document.data.items()} == given
    assert outstanding(folder) == []
    assert leaks(told.everything(folder), [value.decode() for value in given.values()]) == []
    comments = [line for line in (KIND / VALUES).read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("#")]
    assert [line for line in document.text.splitlines() if line.lstrip().startswith("#")] == comments


def test_one_value_afterwards(folder: Path, pair: Pair) -> None:
    journal = Told(Fake()).journal
    write_certificate(folder, pair.certificate, journal)
    where = where_of(folder)
    reseal(folder, where, dict.fromkeys(where, b"first"), journal)
    before = read(folder, VALUES)
    reseal(folder, where, {}, journal)
    assert read(folder, VALUES) == before
    reseal(folder, where, {"GRAFANA_SECRET_KEY_SEALED": b"second"}, journal)
    after = read(folder, VALUES).data
    assert {name for name in after if after[name] != before.data[name]} == {"GRAFANA_SECRET_KEY_SEALED"}
    assert unseal(pair.key, after["GRAFANA_SECRET_KEY_SEALED"], "monitoring", "all") == b"second"


@pytest.mark.parametrize(("given", "error"), [({"NOTHING": b"x"}, "there is no value NOTHING"), ({"GRAFANA_SECRET_KEY_SEALED": b""}, "empty: GRAFANA")])
def test_values_that_cannot_be_sealed(folder: Path, given: dict[str, bytes], error: str) -> None:
    before = (folder / VALUES).read_bytes()
    with pytest.raises(BootstrapError, match=error):
        reseal(folder, where_of(folder), given, Told(Fake()).journal)
    assert (folder / VALUES).read_bytes() == before


@pytest.mark.parametrize("text", ["", "kind: ConfigMap\n", "[", "kind: Secret\ndata: {a: b}\n", "- a\n"])
def test_files_of_another_shape_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / VALUES).write_text(text, encoding="utf-8")
    with pytest.raises(BootstrapError, match="holds no ConfigMap with data"):
        read(tmp_path, VALUES)
    with pytest.raises(BootstrapError, match="No such file"):
        read(tmp_path, CERTIFICATE)
