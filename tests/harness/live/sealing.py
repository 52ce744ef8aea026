"""A sealing key for one run, and every SealedSecret's values sealed with it: no private key and no secret is ever in Git.

Source: Sealed Secrets ``pkg/crypto/crypto.go`` (HybridEncrypt), ``pkg/controller/keyregistry.go`` (the label and type of key Secrets).
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from harness.engines.secrets.sealed import label_of, scope_of
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.model import Object

SEALED: Final = "SealedSecret.bitnami.com"
#: What marks a Secret as one of the controller's keys.
KEY_LABEL: Final = "sealedsecrets.bitnami.com/sealed-secrets-key"
_BITS: Final = 4096
_DAYS: Final = 30
#: Session keys are used once, so the nonce may be constant (crypto.go).
_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key pair of a Sealed Secrets controller, as PEM. Its text is in no representation."""

    certificate: str
    private: str = field(repr=False)

    @classmethod
    def generate(cls, name: str, *, bits: int = _BITS) -> SealingKey:
        """A new key, with a self-signed certificate of 30 days that says which cluster it is for."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"sealed-secrets {name}")])
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=_DAYS))
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return cls(built.public_bytes(serialization.Encoding.PEM).decode(), private.decode())

    @classmethod
    def of_secret(cls, body: Mapping[str, Any]) -> SealingKey:
        """The key in a Secret as the API server returns it. Raises ValueError when it holds none."""
        data = mapping(body.get("data"))
        try:
            certificate, private = (base64.b64decode(str(data[key]), validate=True).decode() for key in ("tls.crt", "tls.key"))
        except (KeyError, ValueError):
            raise ValueError("the Secret holds no sealing key: tls.crt and tls.key") from None
        return cls(certificate, private)

    def secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret that the controller takes its key from, for ``kubectl apply`` through standard input only."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {KEY_LABEL: "active"}},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": self.certificate, "tls.key": self.private},
        }

    def seal(self, value: bytes, label: bytes) -> str:
        """A value as kubeseal prints it, bound to a label (:func:`harness.engines.secrets.sealed.label_of`)."""
        public = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise TypeError("a sealing certificate holds an RSA key")
        session = os.urandom(32)
        wrapped = public.encrypt(session, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label))
        return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + AESGCM(session).encrypt(_NONCE, value, None)).decode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """The values of one cluster, sealed for one run.

    ``variables``: the ciphertext of each variable that a SealedSecret's values stand in, by ConfigMap (namespace, name) and key.
    ``literals``: the ciphertexts of SealedSecrets that hold theirs in their own file, by key. ``plain``: what is inside, by (namespace, name, key); in no
    representation.
    """

    variables: dict[tuple[str, str], dict[str, str]]
    literals: list[tuple[Object, dict[str, str]]]
    plain: dict[tuple[str, str, str], str] = field(repr=False)


def seal_all(objects: Iterable[Object], key: SealingKey, make: Callable[[str, str], str] | None = None) -> Sealed:
    """New random values for every SealedSecret of a cluster, sealed with a key.

    A value that stands in a ConfigMap of variables replaces it there; any other is replaced in the SealedSecret. A variable that several SealedSecrets use
    can be sealed for one label only, so the later ones get literals. ``make`` gives the value for a key of a Secret of a type.
    """
    make = make or random_value
    known = list(objects)
    holders: dict[str, tuple[tuple[str, str], str]] = {}
    for item in known:
        if str(item.group_kind) == "ConfigMap":
            for name, value in mapping(item.body.get("data")).items():
                if isinstance(value, str) and len(value) > 64:
                    holders.setdefault(value.strip(), ((item.namespace, item.name), str(name)))
    variables: dict[tuple[str, str], dict[str, str]] = {}
    literals: list[tuple[Object, dict[str, str]]] = []
    plain: dict[tuple[str, str, str], str] = {}
    for item in known:
        if str(item.group_kind) != SEALED:
            continue
        label = label_of(item.namespace, item.name, scope_of(item.annotations))
        kind = str(item.get("spec", "template", "type", default=""))
        own: dict[str, str] = {}
        for name, value in mapping(item.spec.get("encryptedData")).items():
            secret = plain[item.namespace, item.name, str(name)] = make(kind, str(name))
            sealed = key.seal(secret.encode(), label)
            holder = holders.get(value.strip()) if isinstance(value, str) else None
            if holder is None or holder[1] in variables.get(holder[0], {}):
                own[str(name)] = sealed
            else:
                variables.setdefault(holder[0], {})[holder[1]] = sealed
        if own:
            literals.append((item, own))
    return Sealed(variables, literals, plain)


def random_value(kind: str, key: str) -> str:
    """A random value of the form that a key of a Secret of a type needs: an address for ``url``, a line of htpasswd, else 32 random bytes as text."""
    random = secrets.token_urlsafe(32)
    if key == "url" or key.endswith(("-url", "_url")):
        return f"http://receiver.invalid/{random}"
    if kind == "nginx.org/htpasswd" or key in ("htpasswd", "auth"):
        # nginx reads {SHA}; the password is not kept: who needs to log in seals one of their own.
        return f"operator:{{SHA}}{base64.b64encode(hashlib.sha1(random.encode(), usedforsecurity=False).digest()).decode()}"
    return random
