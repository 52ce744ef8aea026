"""Rules about certificates: who signs them, how long they last, their keys and uses, and those that stand in Git (SEC603 to SEC606, SEC613)."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from harness.engines.certificates.chains import CERTIFICATE, names_of
from harness.engines.certificates.names import is_host
from harness.engines.secrets.x509 import BEGIN, Block, blocks
from harness.model import Location
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Files, Objects, Registry, Violation, violation
from harness.rules.hlm_common import seconds
from harness.rules.order_makers import makers
from harness.rules.tls_view import issuers, matrix
from harness.rules.vault_view import view
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.world import World
    from harness.model import Object, ObjectId, Pointer
    from harness.rules.context import Context

SEC: Final = Registry()

_CERTIFICATES: Final = Objects((CERTIFICATE,))
_DOCS: Final = "cert-manager documentation, Certificate resource"
_DAY: Final = 86400.0
_HOUR: Final = 3600.0
#: cert-manager's default duration, and its share of it that is left at renewal.
_DURATION: Final = 90 * _DAY
_SHARE: Final = 1 / 3
#: The longest that browsers take from a public authority until 2026 (CA/Browser Forum, SC-081), and a sane limit inside too.
_LONGEST_LEAF: Final = 398 * _DAY
_CONTROLS: Final = ("NIST-SC-12", "NIST-SC-17")


@SEC.rule(
    "SEC603",
    title="every certificate is signed by an issuer that can, up to a root that is an authority",
    why="with no authority behind the issuer, no solver for the name, or a leaf that signs itself, the certificate never comes or nobody trusts it",
    fix="correct issuerRef, mark the authority's Certificate isCA: true, or extend the issuer's solvers",
    scope=Clusters(),
    controls=_CONTROLS,
)
def chain_holds(world: World) -> Iterator[Violation]:
    seen: set[tuple[ObjectId, Pointer, str]] = set()
    found = world.derive(issuers)
    for certificate in world.of(CERTIFICATE):
        for gap in found.chain(certificate).gaps:
            key = (gap.item.id, gap.pointer, gap.found)
            if key not in seen:
                seen.add(key)
                yield violation(gap.item, *gap.pointer, found=gap.found, expect=gap.expect)
        yield from _vault_signs(certificate, world)


def _vault_signs(certificate: Object, world: World) -> Iterator[Violation]:
    """Names and duration that the role of Vault's PKI engine does not give."""
    issuer = world.derive(issuers).issuer(mapping(certificate.spec.get("issuerRef")), certificate.namespace)
    path = text(mapping(issuer.spec.get("vault")).get("path")) if issuer is not None else ""
    role = world.derive(view).declared.written(re.sub(r"/sign(?:-verbatim)?/", "/roles/", path)) if path else None
    if role is None:
        return
    allowed = [name for name in role.values.get("allowed_domains", "").split(",") if name]
    for index, name in enumerate(items(certificate.spec.get("dnsNames"))):
        if allowed and role.values.get("allow_any_name") != "true" and not any(_role_allows(text(name), domain, role.values) for domain in allowed):
            found = f"{name}, which role {path.rpartition('/')[2]} of Vault does not sign: it allows {', '.join(allowed)}"
            yield violation(certificate, "spec", "dnsNames", index, found=found, expect="a name that the role allows")
    longest, duration = seconds(role.values.get("max_ttl")), _duration(certificate)
    if longest is not None and duration > longest:
        found = f"duration of {duration / _HOUR:.0f}h, and role {path.rpartition('/')[2]} of Vault signs for {longest / _HOUR:.0f}h at most"
        yield violation(
            certificate, "spec", *(("duration",) if certificate.spec.get("duration") else ()), found=found, expect=f"{longest / _HOUR:.0f}h or less"
        )


def _role_allows(name: str, domain: str, values: Mapping[str, str]) -> bool:
    if name == domain:
        return values.get("allow_bare_domains") == "true"
    return values.get("allow_subdomains") == "true" and name.removeprefix("*.").endswith(f".{domain}")


def _duration(certificate: Object) -> float:
    found = seconds(certificate.spec.get("duration"))
    return found if found is not None else _DURATION


def _renew_before(certificate: Object) -> float:
    """Seconds before the end at which cert-manager renews: stated, as a share of the duration, or a third of it."""
    stated = seconds(certificate.spec.get("renewBefore"))
    share = certificate.spec.get("renewBeforePercentage")
    if stated is not None:
        return stated
    return _duration(certificate) * (share / 100 if isinstance(share, int) and not isinstance(share, bool) else _SHARE)


@SEC.rule(
    "SEC604",
    title="a certificate is renewed in good time, and does not outlive its authority",
    why=(
        f"renewal that begins after the end is refused, and one that begins shortly before leaves no time to repair what fails ({_DOCS}); a leaf that outlives "
        "its authority stops being trusted in the middle of its life"
    ),
    fix="leave renewBefore at a third of the duration, keep leaves at 90 days and authorities at years",
    scope=_CERTIFICATES,
    controls=_CONTROLS,
)
def lifetimes(item: Object, world: World) -> Iterator[Violation]:
    for field in ("duration", "renewBefore"):
        value = item.spec.get(field)
        if isinstance(value, str) and "${" not in value and seconds(value) is None:
            yield violation(item, "spec", field, found=f"{field}: {value}", expect="hours, minutes and seconds, like 2160h")
            return
    duration, before = _duration(item), _renew_before(item)
    at_duration: Pointer = ("spec", "duration") if item.spec.get("duration") else ("spec",)
    at_before: Pointer = next((("spec", key) for key in ("renewBefore", "renewBeforePercentage") if item.spec.get(key)), at_duration)
    if duration < _HOUR:
        yield violation(item, *at_duration, found=f"duration of {duration / 60:.0f}m", expect="an hour or more: cert-manager takes no less")
    elif before >= duration:
        yield violation(item, *at_before, found=f"renewed {_span(before)} before the end of {_span(duration)}", expect="a third of the duration")
    elif before < max(300.0, min(duration / 6, 30 * _DAY)):
        expect = f"a third of the duration, {_span(duration / 3)}; a sixth or 30 days at least"
        yield violation(item, *at_before, found=f"renewed {_span(before)} before the end of {_span(duration)}", expect=expect)
    if item.spec.get("isCA") is not True and duration > _LONGEST_LEAF:
        yield violation(item, *at_duration, found=f"a leaf that lasts {_span(duration)}", expect="398 days or less")
    chain = world.derive(issuers).chain(item)
    for authority in chain.certificates[:1]:
        left = _renew_before(authority)
        if duration > left:
            found = f"duration of {_span(duration)}, while authority {authority.name} is renewed {_span(left)} before its own end"
            yield violation(item, *at_duration, found=found, expect=f"{_span(left)} or less, or an authority that is renewed earlier")


def _span(value: float) -> str:
    return f"{value / _DAY:.0f}d" if value >= 2 * _DAY else f"{value / _HOUR:.0f}h" if value >= _HOUR else f"{value / 60:.0f}m"


_SIZES: Final[Mapping[str, tuple[int, ...]]] = {"RSA": (2048, 3072, 4096, 8192), "ECDSA": (256, 384, 521)}


@SEC.rule(
    "SEC605",
    title="keys of certificates are strong, renewed, and used for what they are for",
    why="a weak or reused key outlives its certificate; clients refuse a server's certificate without server auth and an authority's without cert sign",
    fix="ECDSA 256 or RSA 2048 at least, rotationPolicy: Always, usages that fit, isCA for authorities only",
    scope=_CERTIFICATES,
    controls=("NIST-SC-12", "NIST-SC-13"),
)
def keys_and_usages(item: Object, world: World) -> Iterator[Violation]:
    key = mapping(item.spec.get("privateKey"))
    algorithm, size = text(key.get("algorithm")) or "RSA", key.get("size")
    at: Pointer = ("spec", "privateKey") if key else ("spec",)
    if algorithm in _SIZES and size is not None and size not in _SIZES[algorithm]:
        expect = f"one of {', '.join(map(str, _SIZES[algorithm]))}"
        yield violation(item, "spec", "privateKey", "size", found=f"{algorithm} key of {size} bits", expect=expect)
    if key.get("rotationPolicy") == "Never":
        yield violation(item, "spec", "privateKey", "rotationPolicy", found="rotationPolicy: Never: one key for every renewal", expect="Always")
    usages = {text(each) for each in items(item.spec.get("usages"))}
    listens = item.id in world.derive(_shown)
    # Public authorities give their own usages, whatever was asked.
    if usages and listens and "server auth" not in usages and world.derive(issuers).chain(item).ends not in ("acme", "broken"):
        yield violation(item, "spec", "usages", found=f"a listener shows it, and its usages are {', '.join(sorted(usages))}", expect="server auth among them")
    authority = item.spec.get("isCA") is True
    if authority and usages and "cert sign" not in usages:
        yield violation(item, "spec", "usages", found=f"isCA with usages {', '.join(sorted(usages))}", expect="cert sign among them")
    if authority and listens:
        yield violation(
            item, "spec", "isCA", found="an authority's certificate, which a listener shows", expect="a leaf: the authority's key belongs to its issuer"
        )
    if authority and item.id not in world.derive(_authorities):
        yield violation(item, "spec", "isCA", found="isCA: true, and no issuer signs with it", expect="isCA for authorities only")
    for index, name in enumerate(items(item.spec.get("dnsNames"))):
        if "${" not in text(name) and not is_host(text(name)):
            yield violation(item, "spec", "dnsNames", index, found=f"{name}, which is no host name", expect="a host name; * as the whole first label only")
    if len(text(item.spec.get("commonName"))) > 64:
        yield violation(item, "spec", "commonName", found="a common name of more than 64 characters", expect="64 at most (RFC 5280); dnsNames are not limited")
    fields = ("commonName", "dnsNames", "ipAddresses", "uris", "emailAddresses", "otherNames", "subject", "literalSubject")
    if not any(item.spec.get(field) for field in fields):
        yield violation(item, *at[:1], found="no name of any kind", expect="dnsNames")
    elif listens and not names_of(item) and not item.spec.get("ipAddresses"):
        yield violation(item, "spec", found="a listener shows it, and it has no dnsNames", expect="dnsNames: clients look at nothing else (RFC 9525)")


def _shown(world: World) -> frozenset[ObjectId]:
    """The Certificates that some listener shows."""
    return frozenset(row.certificate.id for row in world.derive(matrix) if row.certificate is not None)


def _authorities(world: World) -> frozenset[ObjectId]:
    """The Certificates whose Secret some issuer signs with."""
    found = world.derive(issuers)
    everything = world.of("Issuer.cert-manager.io", "ClusterIssuer.cert-manager.io")
    return frozenset(authority.id for item in everything if "ca" in item.spec for authority in found.authorities(item))


@SEC.rule(
    "SEC606",
    title="a Secret with a certificate has one maker",
    why="two Certificates, or a Certificate and a SealedSecret, that write one Secret overwrite each other for ever: cert-manager issues anew in a loop",
    fix="give each its own secretName",
    scope=_CERTIFICATES,
    controls=("NIST-CM-6",),
)
def one_maker(item: Object, world: World) -> Iterator[Violation]:
    name = text(item.spec.get("secretName"))
    for made in makers(world).of("Secret", item.namespace, name) if name else ():
        other = made.maker
        twice = other.kind == item.kind and other.id < item.id  # said once, at the first of two Certificates
        if other is item or other.kind in ("Bundle", "Secret") or other.namespace != item.namespace or twice or _only_first(other):
            continue
        yield violation(item, "spec", "secretName", found=f"Secret {name}, which {other.kind} {other.name} makes too", expect="a secretName of its own")


def _only_first(item: Object) -> bool:
    """Whether an ExternalSecret gives a Secret its first content and leaves it to others then, as backups of certificates are brought back."""
    return item.kind == "ExternalSecret" and mapping(item.spec.get("target")).get("creationPolicy") in ("Orphan", "Merge", "None")


_ENCODED: Final = re.compile(r"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t[A-Za-z0-9+/=]+")
_NOTICE: Final = timedelta(days=30)


@SEC.rule(
    "SEC613",
    title="no certificate in Git has ended or is about to",
    why="a bundle of authorities or a caBundle with an ended certificate fails all at once, on a date that was known for years",
    fix="replace the certificate, or let cert-manager or trust-manager bring it",
    scope=Files(),
    controls=("NIST-SC-12", "NIST-SC-17"),
)
def certificates_in_git(path: str, context: Context) -> Iterator[Violation]:
    try:
        raw = context.repository.read(path)
        if BEGIN.encode() not in raw and b"LS0tLS1CRUdJTiBDRVJU" not in raw:
            return
        content = context.repository.text(path)
    except UnreadableError:
        return
    limit = datetime.combine(context.today, time(), UTC)
    for offset, block in _found(content):
        where = Location(path, content.count("\n", 0, offset) + 1)
        if block.certificate is None:
            yield Violation(f"a certificate that cannot be read: {block.problem}", "a certificate in PEM", where)
        elif block.certificate.not_after < limit + _NOTICE:
            word = "ended" if block.certificate.not_after < limit else "ends"
            subject = block.certificate.subject or "no name"
            yield Violation(f"the certificate of {subject} {word} on {block.certificate.not_after.date()}", "one that is valid for 30 days more", where)


def _found(content: str) -> Iterator[tuple[int, Block]]:
    for block in blocks(content):
        yield block.offset, block
    for match in _ENCODED.finditer(content):
        encoded: Any = match.group()
        try:
            inner = base64.b64decode(encoded, validate=True).decode("ascii", "replace")
        except (binascii.Error, ValueError):
            yield match.start(), Block(match.start(), None, "not base64")
            continue
        yield from ((match.start(), block) for block in blocks(inner))


RULES: Final = tuple(SEC.rules)
