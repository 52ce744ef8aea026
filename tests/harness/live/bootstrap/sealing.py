"""The key pair of Sealed Secrets: made before the controller starts, kept in an encrypted file, brought back into any cluster.

Source: Sealed Secrets 0.38 ``pkg/controller/{keys,main}.go`` and ``pkg/crypto/{keys,crypto}.go``. A key is a Secret of type
``kubernetes.io/tls`` with the label ``sealedsecrets.bitnami.com/sealed-secrets-key=active`` in the controller's namespace. The controller reads
them when it starts, and makes one of its own only where it finds none or the newest certificate is older than its renewal period. Old keys go
on opening what they sealed.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from harness.live.bootstrap.base import BootstrapError, Journal, apply_secret, check_writable, write_private
from harness.live.bootstrap.box import WORK, Keys, NotForYouError, close, open_box

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.live.reach.kubectl import Kubectl

NAMESPACE: Final = "sealed-secrets"
LABEL: Final = "sealedsecrets.bitnami.com/sealed-secrets-key"
#: The labels of the controller's pods, as its chart sets them.
CONTROLLER: Final = "app.kubernetes.io/name=sealed-secrets"
BITS: Final = 4096
YEARS: Final = 10


@dataclass(frozen=True)
class Pair:
    """A sealing key and its certificate, both in PEM. ``repr`` shows no key."""

    key: str
    certificate: str

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @property
    def secret_name(self) -> str:
        """The name of its Secret: the same for the same key, so that bringing it back twice makes one."""
        return f"sealed-secrets-key-{self.fingerprint[:10]}"

    def __repr__(self) -> str:
        return f"Pair({self.fingerprint[:16]})"


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate in hexadecimal. Raises BootstrapError when it is none."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(SHA256()).hex()
    except ValueError as error:
        raise BootstrapError("the sealing certificate is no certificate in PEM") from error


def new_pair(cluster: str, now: datetime, *, bits: int = BITS) -> Pair:
    """A fresh pair, as the controller makes them."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"sealed-secrets {cluster}")])
    start = now.astimezone(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return Pair(private, certificate.public_bytes(Encoding.PEM).decode())


def keys_of(kubectl: Kubectl) -> list[Pair]:
    """The pairs in the cluster, oldest certificate first. Secrets that hold none are passed over, as the controller does."""
    found = []
    for secret in kubectl.list("secrets", namespace=NAMESPACE, selector=f"{LABEL}=active"):
        data = secret.get("data") or {}
        try:
            pair = Pair(*(base64.b64decode(data[name]).decode() for name in ("tls.key", "tls.crt")))
            pair.parsed.subject  # noqa: B018 - reads it
        except (KeyError, ValueError, binascii.Error):
            continue
        found.append(pair)
    return sorted(found, key=_age)


def _age(pair: Pair) -> tuple[datetime, str]:
    return pair.parsed.not_valid_before_utc, pair.fingerprint


def ensure_key(
    kubectl: Kubectl, cluster: str, backup: Path, keys: Keys, journal: Journal, *, now: datetime, rotate: bool = False, bits: int = BITS, work: int = WORK
) -> Pair:
    """The newest sealing key of the cluster, made where there is none; and a backup of all of them.

    The backup is written before the cluster gets the key, so that no key is only in the cluster; a run that was interrupted between the two
    goes on with the key in the backup. ``rotate`` makes a newer one besides those that are there.

    Raises:
        BootstrapError: the backup is somebody else's, or cannot be written or opened.
    """
    check_writable(backup)
    here = keys_of(kubectl)
    kept = read_backup(backup, keys) if backup.exists() else []
    known = {pair.fingerprint for pair in here}
    missing = [pair for pair in kept if pair.fingerprint not in known]
    if missing:
        restore(kubectl, missing, journal)
        here = sorted([*here, *missing], key=_age)
    elif rotate or not here:
        pair = new_pair(cluster, now, bits=bits)
        write_backup(backup, [*here, pair], cluster, keys, journal, work=work)
        restore(kubectl, [pair], journal)
        here = [*here, pair]
    if {pair.fingerprint for pair in here} != {pair.fingerprint for pair in kept}:
        write_backup(backup, here, cluster, keys, journal, work=work)
    return here[-1]


def restore(kubectl: Kubectl, pairs: Iterable[Pair], journal: Journal) -> None:
    """Bring pairs into the cluster, and have a controller that runs read them."""
    known = {pair.fingerprint for pair in keys_of(kubectl)}
    new = [pair for pair in pairs if pair.fingerprint not in known]
    for pair in new:
        data = {"tls.key": pair.key.encode(), "tls.crt": pair.certificate.encode()}
        apply_secret(kubectl, NAMESPACE, pair.secret_name, "kubernetes.io/tls", data, {LABEL: "active"})
        journal.changed(f"sealing key {pair.fingerprint[:16]}: in the cluster as Secret {NAMESPACE}/{pair.secret_name}")
    if new and kubectl.list("pods", namespace=NAMESPACE, selector=CONTROLLER):
        kubectl("delete", "pods", f"--namespace={NAMESPACE}", f"--selector={CONTROLLER}", "--wait=false")
        journal.changed("the controller starts again, to read its keys")


def write_backup(path: Path, pairs: Iterable[Pair], cluster: str, keys: Keys, journal: Journal, *, work: int = WORK) -> bool:
    """Write the pairs into an encrypted file, unless it holds exactly them. Returns whether it was written."""
    pairs = list({pair.fingerprint: pair for pair in pairs}.values())
    if not pairs:
        raise BootstrapError("the cluster has no sealing key to keep")
    if path.exists():
        kept = read_backup(path, keys)
        if lost := {pair.fingerprint for pair in kept} - {pair.fingerprint for pair in pairs}:
            raise BootstrapError(f"{path} holds {len(lost)} keys that the cluster does not have: restore them first, or give another file")
        if len(kept) == len(pairs):
            return False
    payload = json.dumps([{"key": pair.key, "certificate": pair.certificate} for pair in pairs]).encode()
    write_private(path, json.dumps(close(payload, f"sealing keys of {cluster}", keys, work=work), indent=1) + "\n")
    journal.changed(f"{path}: {len(pairs)} sealing {'key' if len(pairs) == 1 else 'keys'}, encrypted. Keep it where the cluster is not")
    return True


def read_backup(path: Path, keys: Keys) -> list[Pair]:
    """The pairs in an encrypted file, oldest first.

    Raises:
        NotForYouError: the keys at hand do not open it.
        BootstrapError: it is not there, damaged, or something else.
    """
    try:
        box = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BootstrapError(f"{path}: {error.strerror}") from error
    except ValueError:
        raise BootstrapError(f"{path} is no encrypted file of this program") from None
    try:
        found: Any = json.loads(open_box(box, keys))
        return sorted((Pair(str(each["key"]), str(each["certificate"])) for each in found), key=_age)
    except NotForYouError as error:
        raise NotForYouError(f"{path}: {error}") from None
    except (TypeError, KeyError, ValueError):
        raise BootstrapError(f"{path} holds no sealing keys") from None
