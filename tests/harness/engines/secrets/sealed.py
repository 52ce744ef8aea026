"""SealedSecrets, judged without the private key.

Source: Sealed Secrets ``pkg/crypto/crypto.go`` and ``pkg/apis/sealedsecrets/v1alpha1``. A value is base64 of two bytes with the length of
an RSA-OAEP (SHA-256) ciphertext, that ciphertext (of a 32 byte session key, under a label), and the AES-256-GCM ciphertext with its 16 byte
tag. The label is ``namespace/name``, ``namespace`` or nothing, by the annotations of the SealedSecret itself; the Secret gets the name and
namespace of the SealedSecret, whatever its template says.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object, Pointer

CLUSTER_WIDE: Final = "sealedsecrets.bitnami.com/cluster-wide"
NAMESPACE_WIDE: Final = "sealedsecrets.bitnami.com/namespace-wide"
#: Bytes of the authentication tag of AES-GCM.
_TAG: Final = 16
#: Bits of an RSA modulus that are taken for a key at all, and those that are still strong enough (NIST SP 800-131A).
_KEY_BITS: Final = range(512, 16385, 8)
WEAKEST: Final = 2048

#: The keys a Secret of a type must have; one of each group.
#: Source: Kubernetes ``pkg/apis/core/validation``, NGINX Ingress Controller's ``internal/k8s/secrets``.
TYPE_KEYS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "bootstrap.kubernetes.io/token": (("token-id",), ("token-secret",)),
    "nginx.org/htpasswd": (("htpasswd",),),
    "nginx.org/jwk": (("jwk",),),
    "nginx.org/ca": (("ca.crt",),),
    "nginx.org/oidc": (("client-secret",),),
}


class Scope(Enum):
    """How far a sealed value may be moved."""

    STRICT = "strict"
    NAMESPACE = "namespace-wide"
    CLUSTER = "cluster-wide"


class SealedFault(NamedTuple):
    """Something wrong, and where in the object."""

    pointer: Pointer
    found: str
    expect: str


@dataclass(frozen=True, slots=True)
class SealedValue:
    """One value, taken apart. ``bits`` is the size of the RSA key that sealed it, ``length`` the bytes of the secret inside, ``number`` the RSA ciphertext."""

    bits: int
    length: int
    number: int


def scope_of(annotations: Mapping[str, Any]) -> Scope:
    """The scope that annotations ask for. Only the text ``true`` counts, and cluster-wide comes first."""
    if annotations.get(CLUSTER_WIDE) == "true":
        return Scope.CLUSTER
    return Scope.NAMESPACE if annotations.get(NAMESPACE_WIDE) == "true" else Scope.STRICT


def label_of(namespace: str, name: str, scope: Scope) -> bytes:
    """What RSA-OAEP binds a sealed value to."""
    return {Scope.STRICT: f"{namespace}/{name}", Scope.NAMESPACE: namespace, Scope.CLUSTER: ""}[scope].encode()


def open_value(value: object) -> SealedValue:
    """Take a sealed value apart. Raises ValueError, with what is wrong, for anything the controller could not decrypt."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("no sealed value")
    try:
        # Go's decoder skips line ends and nothing else.
        data = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(data) < 2:
        raise ValueError(f"{len(data)} bytes, too short for a sealed value")
    size = int.from_bytes(data[:2], "big")
    if size * 8 not in _KEY_BITS:
        raise ValueError(f"starts with {size} as the length of an RSA ciphertext, which no key gives")
    if len(data) < 2 + size + _TAG:
        raise ValueError(f"{len(data)} bytes, where an RSA ciphertext of {size} and an authentication tag need {2 + size + _TAG} at least: it was cut off")
    number = int.from_bytes(data[2 : 2 + size], "big")
    if number < 2:
        raise ValueError("the RSA ciphertext is empty")
    return SealedValue(size * 8, len(data) - 2 - size - _TAG, number)


def sealed_values(item: Object) -> Iterator[tuple[str, SealedValue]]:
    """The values of a SealedSecret that can be taken apart."""
    for key, value in mapping(item.spec.get("encryptedData")).items():
        try:
            yield key, open_value(value)
        except ValueError:
            continue


def structure_faults(item: Object) -> Iterator[SealedFault]:
    """What the controller could not decrypt whatever its key is, and values that different keys have sealed."""
    if "encryptedData" not in item.spec:
        if item.spec.get("data"):
            yield SealedFault(("spec", "data"), "the field data, which the controller reads only with a flag since 0.9", "encryptedData with one value a key")
        else:
            yield SealedFault(("spec",), "no encryptedData", "at least one sealed value")
        return
    values = item.spec.get("encryptedData")
    if not isinstance(values, dict) or not values:
        yield SealedFault(("spec", "encryptedData"), "no sealed value", "at least one sealed value")
        return
    sizes: dict[int, list[str]] = defaultdict(list)
    for key, value in values.items():
        try:
            sizes[open_value(value).bits].append(str(key))
        except ValueError as error:
            yield SealedFault(("spec", "encryptedData", key), f"{key}: {error}", "a value as kubeseal prints it")
    if len(sizes) > 1:
        common = max(sizes, key=lambda bits: (len(sizes[bits]), bits))
        for bits, keys in sorted(sizes.items()):
            if bits != common:
                yield SealedFault(
                    ("spec", "encryptedData", keys[0]),
                    f"{', '.join(keys)}: sealed with an RSA key of {bits} bits, others with one of {common}",
                    "one sealing key",
                )
    for bits, keys in sorted(sizes.items()):
        if bits < WEAKEST:
            yield SealedFault(("spec", "encryptedData", keys[0]), f"{', '.join(keys)}: sealed with an RSA key of {bits} bits", f"{WEAKEST} bits at least")


def scope_faults(item: Object) -> Iterator[SealedFault]:
    """Where the template of the Secret says something else than the SealedSecret about name, namespace or scope."""
    metadata = mapping(mapping(item.spec.get("template")).get("metadata"))
    at = ("spec", "template", "metadata")
    for field, own in (("name", item.name), ("namespace", item.namespace)):
        other = text(metadata.get(field))
        if other and own and other != own:
            yield SealedFault((*at, field), f"{field}: {other}, but the Secret gets the SealedSecret's {field}, {own}", own)
    for key in (CLUSTER_WIDE, NAMESPACE_WIDE):
        if key in item.annotations and item.annotations[key] not in ("true", "false"):
            yield SealedFault(("metadata", "annotations", key), f"{key}: {item.annotations[key]!r}, which counts as false", '"true", or no annotation')
    own_scope, other_scope = scope_of(item.annotations), scope_of(mapping(metadata.get("annotations")))
    if mapping(metadata.get("annotations")).keys() & {CLUSTER_WIDE, NAMESPACE_WIDE} and own_scope != other_scope:
        yield SealedFault(
            (*at, "annotations"),
            f"the template says {other_scope.value}, the SealedSecret {own_scope.value}",
            "the same scope in both: the value opens only under the one it was sealed for",
        )


def template_faults(item: Object) -> Iterator[SealedFault]:
    """Keys that the Secret's type demands and nobody gives, and what keeps a new value from arriving."""
    template = mapping(item.spec.get("template"))
    given = mapping(template.get("data"))
    keys = (set(mapping(item.spec.get("encryptedData"))) | set(given)) - {key for key, value in given.items() if value is None}
    kind = text(template.get("type"))
    for group in TYPE_KEYS.get(kind, ()):
        if not keys & set(group):
            yield SealedFault(("spec", "template", "type"), f"type {kind} without the key {' or '.join(group)}", f"an encrypted {' or '.join(group)}")
    if template.get("immutable") is True:
        yield SealedFault(("spec", "template", "immutable"), "immutable: true, so a value that is sealed anew never reaches the Secret", "no immutable")


def copies(objects: Iterable[Object]) -> Iterator[tuple[Object, str, Object, str]]:
    """Values that two SealedSecrets share although they open under different labels: (object, key, first object, its key)."""
    seen: dict[str, tuple[Object, str, bytes]] = {}
    for item in objects:
        label = label_of(item.namespace, item.name, scope_of(item.annotations))
        for key, value in mapping(item.spec.get("encryptedData")).items():
            if not isinstance(value, str) or len(value) < 64:
                continue
            first = seen.setdefault(value, (item, str(key), label))
            if first[0] is not item and first[2] != label:
                yield item, str(key), first[0], first[1]
