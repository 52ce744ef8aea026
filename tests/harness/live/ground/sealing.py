"""Values in SealedSecrets: where each of a cluster goes, sealed for a certificate, and opened with its key.

What people seal into the files of a cluster (:mod:`harness.live.bootstrap.values`) and what a run makes up for its own cluster go through the same functions.
The key itself is made, kept and brought back by :mod:`harness.live.bootstrap.sealing`. Source: Sealed Secrets 0.38 ``pkg/crypto/crypto.go``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.engines.secrets.sealed import Scope, label_of, open_value, scope_of
from harness.live.bootstrap.base import BootstrapError
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.model import Object

SEALED: Final = "SealedSecret.bitnami.com"
_OAEP: Final = SHA256()


class Target(NamedTuple):
    """Where a sealed value goes."""

    namespace: str
    name: str
    key: str
    scope: Scope

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}, key {self.key}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """The values of one cluster, sealed for one run.

    ``variables``: the ciphertext of each variable that a SealedSecret's values stand in, by ConfigMap (namespace, name) and key.
    ``literals``: the ciphertexts of SealedSecrets that hold theirs in their own file, by key. ``plain``: what is inside; in no representation.
    """

    variables: dict[tuple[str, str], dict[str, str]]
    literals: list[tuple[Object, dict[str, str]]]
    plain: dict[Target, str] = field(repr=False)


def seal(certificate: str, value: bytes, namespace: str, name: str, scope: Scope = Scope.STRICT) -> str:
    """A value as ``kubeseal --raw`` seals it for a certificate. Raises BootstrapError when the certificate's key is none for sealing."""
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise BootstrapError("the sealing certificate has no RSA key")
    session = os.urandom(32)
    wrapped = public.encrypt(session, padding.OAEP(padding.MGF1(_OAEP), _OAEP, label_of(namespace, name, scope)))
    # The session key is used once, so the nonce is zero, as the controller expects it.
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + AESGCM(session).encrypt(bytes(12), value, None)).decode()


def unseal(key: str, sealed: str, namespace: str, name: str, scope: Scope = Scope.STRICT) -> bytes:
    """The value that was sealed for a key under a label. Raises ValueError when it was not, or is damaged."""
    private = load_pem_private_key(key.encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("no RSA key")
    open_value(sealed)
    data = base64.b64decode(sealed)
    size = int.from_bytes(data[:2], "big")
    session = private.decrypt(data[2 : 2 + size], padding.OAEP(padding.MGF1(_OAEP), _OAEP, label_of(namespace, name, scope)))
    return AESGCM(session).decrypt(bytes(12), data[2 + size :], None)


def places(objects: Iterable[Object]) -> Iterator[tuple[Object, Target, str]]:
    """Every sealed value of a cluster: the SealedSecret that holds it, where it goes, and its ciphertext (empty when it is no text)."""
    for item in objects:
        if str(item.group_kind) == SEALED:
            for key, value in mapping(item.spec.get("encryptedData")).items():
                yield item, Target(item.namespace, item.name, str(key), scope_of(item.annotations)), value.strip() if isinstance(value, str) else ""


def targets(objects: Iterable[Object], values: Mapping[str, str]) -> dict[str, Target]:
    """Where each value of a cluster's file goes: the SealedSecret of the built cluster that holds its ciphertext.

    Raises:
        BootstrapError: a value is in no SealedSecret or in several, or two values are the same text.
    """
    known: dict[str, list[Target]] = {}
    for _item, target, sealed in places(objects):
        known.setdefault(sealed, []).append(target)
    texts = [value.strip() for value in values.values()]
    found: dict[str, Target] = {}
    for name, value in values.items():
        if texts.count(value.strip()) > 1:
            raise BootstrapError(f"{name} has the same text as another value, so that it cannot be told where it goes: give each a text of its own")
        here = known.get(value.strip(), [])
        if len(here) != 1:
            raise BootstrapError(f"{name} stands in {len(here)} SealedSecrets of the cluster: {', '.join(map(str, here)) or 'remove it'}")
        found[name] = here[0]
    return found


def seal_all(objects: Iterable[Object], certificate: str, make: Callable[[str, str], str] | None = None) -> Sealed:
    """New random values for every SealedSecret of a cluster, sealed for a certificate: no private key and no secret is ever in Git.

    A value that stands in a ConfigMap of variables replaces it there; any other is replaced in the SealedSecret. A variable that several SealedSecrets use
    can be sealed for one label only, so the later ones get literals. ``make`` gives the value for a key of a Secret of a type.
    """
    make = make or random_value
    known = list(objects)
    holders = _holders(known)
    variables: dict[tuple[str, str], dict[str, str]] = {}
    literals: dict[tuple[str, str], tuple[Object, dict[str, str]]] = {}
    plain: dict[Target, str] = {}
    for item, target, before in places(known):
        secret = plain[target] = make(str(item.get("spec", "template", "type", default="")), target.key)
        sealed = seal(certificate, secret.encode(), target.namespace, target.name, target.scope)
        holder = holders.get(before)
        if holder is None or holder[1] in variables.get(holder[0], {}):
            literals.setdefault((target.namespace, target.name), (item, {}))[1][target.key] = sealed
        else:
            variables.setdefault(holder[0], {})[holder[1]] = sealed
    return Sealed(variables, list(literals.values()), plain)


def _holders(objects: Iterable[Object]) -> dict[str, tuple[tuple[str, str], str]]:
    """The ConfigMap (namespace, name) and key in which a ciphertext stands."""
    found: dict[str, tuple[tuple[str, str], str]] = {}
    for item in objects:
        if str(item.group_kind) == "ConfigMap":
            for name, value in mapping(item.body.get("data")).items():
                if isinstance(value, str) and len(value) > 64:
                    found.setdefault(value.strip(), ((item.namespace, item.name), str(name)))
    return found


def random_value(kind: str, key: str) -> str:
    """A random value of the form that a key of a Secret of a type needs: an address for ``url``, a line of htpasswd, else 32 random bytes as text."""
    random = secrets.token_urlsafe(32)
    if key == "url" or key.endswith(("-url", "_url")):
        return f"http://receiver.invalid/{random}"
    if kind == "nginx.org/htpasswd" or key in ("htpasswd", "auth"):
        # nginx reads {SHA}; the password is not kept: who needs to log in seals one of their own.
        return f"operator:{{SHA}}{base64.b64encode(hashlib.sha1(random.encode(), usedforsecurity=False).digest()).decode()}"
    return random
