"""Rules about SealedSecrets, as far as they can be judged without the key that opens them (SEC3xx)."""

from __future__ import annotations

import posixpath
import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.secrets.sealed import WEAKEST, Scope, copies, label_of, scope_faults, scope_of, sealed_values, structure_faults, template_faults
from harness.engines.secrets.x509 import BEGIN, blocks
from harness.model import Location, NotEvaluated, Severity
from harness.model.shapes import mapping
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.hlm_common import has_comment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.secrets.x509 import Certificate
    from harness.flux.world import World
    from harness.model import Object

SEC: Final = Registry()

SEALED_SECRET: Final = "SealedSecret.bitnami.com"  # noqa: S105 - a kind
_SEALED: Final = Objects((SEALED_SECRET,))
_SOURCE: Final = "Sealed Secrets, pkg/apis/sealedsecrets/v1alpha1"
#: A sealing certificate that ends sooner than this must be replaced now.
_NOTICE: Final = timedelta(days=30)


@SEC.rule(
    "SEC301",
    title="every sealed value is one that a controller could decrypt",
    why=f"a value that was cut off, copied badly or sealed with a weak or another key never becomes a Secret, and what mounts it never starts ({_SOURCE})",
    fix="seal it again with kubeseal against the cluster's certificate and commit the whole value",
    scope=_SEALED,
    controls=("CIS-5.4.1", "NIST-SC-28"),
)
def sealed_structure(item: Object, world: World) -> Iterator[Violation]:
    for fault in structure_faults(item):
        value = item.get(*fault.pointer)
        if not world.is_unknown(value) and not (isinstance(value, str) and "${" in value):
            yield violation(item, *fault.pointer, found=fault.found, expect=fault.expect)


@SEC.rule(
    "SEC302",
    title="a SealedSecret and the template of its Secret agree on name, namespace and scope",
    why=f"the controller takes name, namespace and scope from the SealedSecret: a value sealed under what the template says does not open ({_SOURCE})",
    fix="give the template the SealedSecret's own name, namespace and scope annotations, and seal the values again if they were sealed for others",
    scope=_SEALED,
    controls=("NIST-SC-28",),
)
def sealed_scope(item: Object, world: World) -> Iterator[Violation]:
    for fault in scope_faults(item):
        yield violation(item, *fault.pointer, found=fault.found, expect=fault.expect)


@SEC.rule(
    "SEC303",
    title="a SealedSecret is sealed for one namespace and name, or says why not",
    why="a value of wider scope can be copied: whoever may create SealedSecrets in any namespace (or another name in this one) has the secret in plain text",
    fix="seal it again with --scope strict, or state the reason in a comment at the annotation",
    scope=Objects((SEALED_SECRET,), where=lambda item: scope_of(item.annotations) is not Scope.STRICT),
    severity=Severity.WARNING,
    controls=("NIST-AC-6", "NIST-SC-28"),
)
def strict_scope(item: Object, world: World) -> Iterator[Violation]:
    key = f"sealedsecrets.bitnami.com/{scope_of(item.annotations).value}"
    where = item.locate("metadata", "annotations", key)
    if not has_comment(world, where):
        yield Violation(f"scope {scope_of(item.annotations).value}", "strict, or a comment with the reason", where)


@SEC.rule(
    "SEC304",
    title="the Secret of a SealedSecret has the keys of its type and can be changed",
    why="the API server refuses a Secret without the keys of its type, and no change ever reaches an immutable one: a rotated value stays in Git",
    fix="seal the missing keys, correct the type, or delete immutable",
    scope=_SEALED,
    controls=("NIST-IA-5",),
)
def sealed_template(item: Object, world: World) -> Iterator[Violation]:
    for fault in template_faults(item):
        yield violation(item, *fault.pointer, found=fault.found, expect=fault.expect)


@SEC.rule(
    "SEC305",
    title="no sealed value was copied to where it does not open",
    why="a value is bound to the namespace and name it was sealed for; a copy under another label cannot be decrypted, and its Secret never comes",
    fix="seal the value anew for the namespace and name of the SealedSecret that has the copy",
    scope=Clusters(),
    controls=("NIST-SC-28",),
)
def no_copies(world: World) -> Iterator[Violation]:
    for item, key, first, first_key in copies(world.of(SEALED_SECRET)):
        label = label_of(item.namespace, item.name, scope_of(item.annotations)).decode() or "any namespace"
        yield violation(
            item,
            *("spec", "encryptedData", key),
            found=f"{key} is the same value as {first_key} of SealedSecret {first.namespace}/{first.name}, and opens under one of the two labels at most",
            expect=f"a value sealed for {label}",
        )


class Sealing(NamedTuple):
    """The certificates of a cluster's sealing key as they stand in Git, and where."""

    where: Location
    text: str


#: How files with the certificate are called that nothing applies (Flux guides: Sealed Secrets, ``pub-sealed-secrets.pem``).
_FILE: Final = re.compile(r"(?:.*sealed-?secrets?.*|pub-cert|sealing.*)\.(?:pem|crt|cert|cer)")
#: How ConfigMaps with it are called.
_CONFIG_MAP: Final = re.compile(r"(?:.*sealed-?secrets?.*|sealing.*)(?:cert|pub|key|pem).*")


def sealing(world: World) -> tuple[Sealing, ...]:
    """Where a cluster's public sealing certificate stands: in a ConfigMap named after it, or in a file of the cluster's folder."""
    found = [
        Sealing(item.locate("data", key), value)
        for item in world.of("ConfigMap")
        if _CONFIG_MAP.fullmatch(item.name)
        for key, value in mapping(item.body.get("data")).items()
        if isinstance(value, str) and BEGIN in value
    ]
    folder = world.cluster.path.strip("/")
    files = [path for path in world.repository.files(folder) if _FILE.fullmatch(posixpath.basename(path))] if folder else []
    return (*found, *(Sealing(Location(path, 1), world.repository.read(path).decode("utf-8", "replace")) for path in files))


@SEC.rule(
    "SEC306",
    title="the sealing certificate of a cluster is valid, strong, and the one its values are sealed with",
    why=(
        "kubeseal refuses an expired certificate, so that nothing new can be sealed; and a value that was sealed for another cluster's key has the size or the "
        "range of that key and is never decrypted"
    ),
    fix="kubeseal --fetch-cert from the running cluster into the file, and seal what does not fit again",
    scope=Clusters(),
    controls=("NIST-SC-12", "NIST-SC-28"),
)
def sealing_certificate(world: World) -> Iterator[Violation]:
    readable: list[Certificate] = []
    files = world.derive(sealing)
    for where, source in files:
        found = list(blocks(source))
        good = [block.certificate for block in found if block.certificate is not None]
        if not good:
            yield Violation(f"no certificate can be read: {found[0].problem if found else 'there is none'}", "what kubeseal --fetch-cert prints", where)
            continue
        readable += good
        newest = max(good, key=lambda each: each.not_after)
        today = datetime.combine(world.today, time(), UTC)
        if newest.not_after < today + _NOTICE:
            ended = "ended" if newest.not_after < today else "ends"
            yield Violation(f"the certificate {ended} on {newest.not_after.date()}", f"valid for {_NOTICE.days} days more", where)
        if not newest.modulus or newest.bits < WEAKEST:
            yield Violation(f"the certificate has a key {newest.algorithm} of {newest.bits} bits", f"an RSA key of {WEAKEST} bits at least", where)
    moduli: dict[int, int] = {}
    for certificate in readable:
        if certificate.modulus:
            moduli[certificate.bits] = max(moduli.get(certificate.bits, 0), certificate.modulus)
    for item in world.of(SEALED_SECRET) if moduli else ():
        for key, value in sealed_values(item):
            if value.bits not in moduli:
                what = f"{key} is sealed with an RSA key of {value.bits} bits"
            elif value.number >= moduli[value.bits]:
                what = f"{key} is sealed with another key: its RSA ciphertext is larger than this cluster's modulus"
            else:
                continue
            yield violation(item, "spec", "encryptedData", key, found=what, expect=f"a value sealed with the certificate in {files[0].where.path}")


@SEC.rule(
    "SEC307",
    title="a SealedSecret stands in a file of its own that says so",
    why="who rotates a secret looks for its file: one object a file, named sealedsecret.yaml or <name>.sealedsecret.yaml, is found and replaced whole",
    fix="move the object to sealedsecret.yaml, or to <name>.sealedsecret.yaml where a folder has several",
    scope=_SEALED,
    severity=Severity.WARNING,
    own_only=True,
)
def sealed_file(item: Object, world: World) -> Iterator[Violation]:
    where = item.locate()
    name = posixpath.basename(where.path)
    if name not in {"sealedsecret.yaml", f"{item.name}.sealedsecret.yaml"}:
        yield Violation(f"SealedSecret {item.name} in {name}", f"sealedsecret.yaml or {item.name}.sealedsecret.yaml", where)
    elif len(world.repository.documents(where.path)) > 1:
        yield Violation(f"{len(world.repository.documents(where.path))} objects in {name}", "one", where)


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """Clusters whose sealing certificate is not in Git: whether their values fit the key is unknown."""
    if world.of(SEALED_SECRET) and not world.derive(sealing):
        why = "no ConfigMap and no file of its folder holds the certificate of its sealing key"
        yield NotEvaluated(world.cluster.name, "SEC306: sealed values against the cluster's key", why)


RULES: Final = tuple(SEC.rules)
