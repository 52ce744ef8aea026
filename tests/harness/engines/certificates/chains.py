"""Who signs a Certificate, up to the root: issuers of cert-manager and the Secrets between them.

Source: cert-manager documentation "Configuration" (CA, SelfSigned, Vault, ACME, Venafi) and API reference v1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.certificates.names import covers
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Object, Pointer

CERTIFICATE: Final = "Certificate.cert-manager.io"
ISSUER: Final = "Issuer.cert-manager.io"
CLUSTER_ISSUER: Final = "ClusterIssuer.cert-manager.io"


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a chain breaks: the object and place to edit, what is there, and what should be."""

    item: Object
    pointer: Pointer
    found: str
    expect: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of a Certificate.

    ``steps`` begin with its issuer; ``ends`` is how it ends: ``self-signed``, ``acme``, ``vault``, ``external`` or ``broken``.
    """

    steps: tuple[str, ...]
    ends: str
    gaps: tuple[Gap, ...] = ()
    certificates: tuple[Object, ...] = field(default=(), repr=False)
    """The Certificates of the authorities on the way, from the leaf's."""


class Issuers:
    """The issuers and Certificates of a cluster. ``resource_namespaces`` are those in which ClusterIssuers find their Secrets."""

    def __init__(self, objects: Iterable[Object], certificates: Iterable[Object], resource_namespaces: Iterable[str]) -> None:
        self._issuers = {(str(item.group_kind), item.namespace, item.name): item for item in objects}
        self._resource = tuple(resource_namespaces)
        self.by_secret: dict[tuple[str, str], list[Object]] = {}
        for item in certificates:
            self.by_secret.setdefault((item.namespace, text(item.spec.get("secretName"))), []).append(item)

    def issuer(self, reference: Mapping[str, Any], namespace: str) -> Object | None:
        """The issuer of a reference, None when the cluster has none or the group is another's."""
        if text(reference.get("group")) not in ("", "cert-manager.io"):
            return None
        name = text(reference.get("name"))
        if text(reference.get("kind")) == "ClusterIssuer":
            return self._issuers.get((CLUSTER_ISSUER, "", name))
        return self._issuers.get((ISSUER, namespace, name))

    def authorities(self, issuer: Object) -> tuple[Object, ...]:
        """The Certificates that make the Secret of a CA issuer."""
        name = text(mapping(issuer.spec.get("ca")).get("secretName"))
        namespaces = (issuer.namespace,) if issuer.namespace else self._resource
        return tuple(item for namespace in namespaces for item in self.by_secret.get((namespace, name), ()))

    def chain(self, certificate: Object) -> Chain:
        """Who signs a Certificate."""
        steps: list[str] = []
        gaps: list[Gap] = []
        passed: list[Object] = []
        current = certificate
        while True:
            issuer = self.issuer(mapping(current.spec.get("issuerRef")), current.namespace)
            reference = mapping(current.spec.get("issuerRef"))
            if issuer is None:
                foreign = text(reference.get("group")) not in ("", "cert-manager.io")
                steps.append(f"{text(reference.get('kind')) or 'Issuer'} {text(reference.get('name'))}")
                return Chain(tuple(steps), "external" if foreign else "broken", tuple(gaps), tuple(passed))
            steps.append(f"{issuer.kind} {issuer.name}")
            if "ca" not in issuer.spec:
                gaps += _own_gaps(issuer, current, leaf=not passed)
                return Chain(tuple(steps), _ends(issuer), tuple(gaps), tuple(passed))
            above = self.authorities(issuer)
            if not above:
                return Chain(tuple(steps), "external", tuple(gaps), tuple(passed))
            authority = above[0]
            if authority in passed or authority is certificate:
                gaps.append(Gap(current, ("spec", "issuerRef"), f"issuer {issuer.name} is signed by what it signs itself", "an authority above"))
                return Chain(tuple(steps), "broken", tuple(gaps), tuple(passed))
            if authority.spec.get("isCA") is not True:
                found = f"Certificate {authority.name} is the authority of {issuer.kind} {issuer.name} and has not isCA: true"
                gaps.append(Gap(authority, ("spec", "secretName"), found, "isCA: true"))
            passed.append(authority)
            steps.append(f"Certificate {authority.namespace}/{authority.name}")
            current = authority


def _ends(issuer: Object) -> str:
    names = {"selfSigned": "self-signed", "acme": "acme", "vault": "vault"}
    return next((name for key, name in names.items() if key in issuer.spec), "external")


def _own_gaps(issuer: Object, certificate: Object, *, leaf: bool) -> Iterable[Gap]:
    """What is wrong between a Certificate and the issuer that is no CA issuer."""
    if "selfSigned" in issuer.spec and certificate.spec.get("isCA") is not True:
        found = f"Certificate {certificate.name} signs itself through {issuer.name} and is no authority: every client would have to trust it by itself"
        yield Gap(certificate, ("spec", "issuerRef"), found, "an issuer with an authority above, or isCA: true")
    if "acme" in issuer.spec and leaf:
        yield from _acme_gaps(issuer, certificate)


def _acme_gaps(issuer: Object, certificate: Object) -> Iterable[Gap]:
    solvers = [mapping(solver) for solver in items(mapping(issuer.spec.get("acme")).get("solvers"))]
    for index, name in enumerate(items(certificate.spec.get("dnsNames"))):
        matching = [solver for solver in solvers if _selects(mapping(solver.get("selector")), text(name), certificate)]
        pointer: Pointer = ("spec", "dnsNames", index)
        if not matching:
            yield Gap(certificate, pointer, f"{name}, for which {issuer.name} has no solver", "a name in the zones of a solver")
        elif text(name).startswith("*.") and not any("dns01" in solver for solver in matching):
            yield Gap(certificate, pointer, f"{name}: a wildcard, and {issuer.name} solves it over HTTP", "a solver with dns01")
    if certificate.spec.get("ipAddresses") or certificate.spec.get("isCA") is True:
        yield Gap(certificate, ("spec", "issuerRef"), f"{issuer.name} signs no addresses and no authorities", "an issuer that does")


def _selects(selector: Mapping[str, Any], name: str, certificate: Object) -> bool:
    """cert-manager picks a solver by labels, names and zones; each part that is there must match."""
    if any(certificate.labels.get(key) != value for key, value in mapping(selector.get("matchLabels")).items()):
        return False
    names, zones = items(selector.get("dnsNames")), items(selector.get("dnsZones"))
    if names and name not in names:
        return False
    bare = name.removeprefix("*.")
    return not zones or any(bare == zone or bare.endswith(f".{zone}") for zone in map(text, zones))


def names_of(certificate: Object) -> tuple[str, ...]:
    """The DNS names of a Certificate: ``dnsNames``; the common name counts only for issuers that copy it."""
    return tuple(text(name) for name in items(certificate.spec.get("dnsNames")) if text(name))


def covers_host(certificate: Object, host: str) -> bool | None:
    """Whether a Certificate's names cover a host; None when a name is still a variable, or literal subjects decide."""
    names = names_of(certificate)
    if any("${" in name for name in (*names, host)):
        return None
    if not names and certificate.spec.get("literalSubject"):
        return None
    return any(covers(name, host) for name in names)
