"""Certificates as a running cert-manager makes them: asking an issuer, forcing a renewal, and reading what came.

Sources: cert-manager.io/v1 (Certificate, ClusterIssuer); ``cmctl renew`` sets the condition Issuing on a Certificate's status and leaves the rest to the
controller. Vault's PKI engine gives its authority to everybody at ``/v1/<mount>/ca/pem``.
"""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from harness.live.faults import LABEL, applied
from harness.live.findings import NotEvaluatedError
from harness.live.reach.forwards import Client
from harness.live.reach.wait import Clock, Waiter
from harness.live.reach.web import Tls
from harness.live.sync.reconcile import condition
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

KIND: Final = "certificates.cert-manager.io"
CLUSTER_ISSUER: Final = "ClusterIssuer.cert-manager.io"
_DAY: Final = "24h"


@dataclass(frozen=True, slots=True)
class Issued:
    """What a Secret of type kubernetes.io/tls holds: the certificate, the rest of its chain, and whether the key is its own."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    matches: bool

    @property
    def serial(self) -> int:
        """The number that an authority gives each certificate once."""
        return self.certificate.serial_number


def issued_of(secret: Mapping[str, Any]) -> Issued:
    """The content of a TLS Secret. Raises ValueError when it holds none; the text shows nothing of it."""
    data = mapping(secret.get("data"))
    pem, key = (base64.b64decode(text(data.get(name))) for name in ("tls.crt", "tls.key"))
    chain = x509.load_pem_x509_certificates(pem)
    try:
        public = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError):
        raise ValueError("the Secret's tls.key is no private key") from None
    return Issued(chain[0], tuple(chain[1:]), _bytes(public) == _bytes(chain[0].public_key()))


def _bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names that a certificate is for, sorted; none when it has no such extension."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(sorted(found.get_values_for_type(x509.DNSName)))


def signed_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    """Whether one of some authorities has signed a certificate: its name and its signature."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def authority_of(platform: Platform, issuer: Object) -> str:
    """What has to be trusted for the certificates of an issuer of the cluster, in PEM; empty for one that signs each with its own key.

    Raises:
        NotEvaluatedError: the authority is outside the cluster.
    """
    kubectl = platform.cluster.kubectl
    if "ca" in issuer.spec:
        name = text(mapping(issuer.spec["ca"]).get("secretName"))
        secret = kubectl.json("get", "secrets", name, f"--namespace={issuer.namespace or 'cert-manager'}")
        return base64.b64decode(text(mapping(secret.get("data")).get("tls.crt"))).decode()
    if "vault" in issuer.spec:
        vault = mapping(issuer.spec["vault"])
        mount = text(vault.get("path")).partition("/")[0]
        service, _, rest = text(vault.get("server")).removeprefix("https://").partition(".")
        client = Client(platform.forwards, f"svc/{service}", int(rest.rpartition(":")[2]), rest.partition(".")[0], tls=Tls())
        return client.ask(f"/v1/{mount}/ca/pem").text
    if "selfSigned" in issuer.spec:
        return ""
    raise NotEvaluatedError(str(issuer.id), "authority", "it is outside the cluster")


def asked(
    name: str, issuer: str, *, namespace: str = "cert-manager", names: Iterable[str] = (), annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A Certificate that asks a ClusterIssuer for a day, as the policies of this platform allow one. Its Secret has its name, and the label of what goes."""
    wanted = list(names) or [f"{name}.{namespace}.svc"]
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {})},
        "spec": {
            "secretName": name,
            "secretTemplate": {"labels": {LABEL: "true"}},
            "dnsNames": wanted,
            "duration": _DAY,
            "renewBefore": "8h",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer},
        },
    }


@contextmanager
def certificate(kubectl: Kubectl, body: Mapping[str, Any], *, within: float = 30, clock: Clock | None = None) -> Iterator[Issued]:
    """A Certificate for the duration of a block, issued when it begins. It and its Secret are gone afterwards.

    Raises:
        WaitError: it did not come within some seconds; the text says what cert-manager waits for.
    """
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    try:
        with applied(kubectl, body):
            waiter: Waiter[dict[str, Any] | None] = Waiter(
                lambda: kubectl.get(KIND, name, namespace), lambda found: _state(kubectl, found), clock=clock or Clock()
            )
            waiter.wait(
                lambda found: condition(found, "Ready").get("status") == "True",
                successes=1,
                timeout=within,
                what=f"Certificate {namespace}/{name}",
            )
            yield issued_of(kubectl.json("get", "secrets", name, f"--namespace={namespace}"))
    finally:
        kubectl.delete("secrets", body["spec"]["secretName"], namespace)


def _state(kubectl: Kubectl, found: Mapping[str, Any] | None) -> str:
    """What a Certificate says of itself, and the requests behind it."""
    ready, issuing = condition(found, "Ready"), condition(found, "Issuing")
    if ready.get("status") == "True":
        return "ready"
    metadata = mapping(mapping(found).get("metadata"))
    said = [text(issuing.get("message")) or text(ready.get("message"))]
    for request in kubectl.list("certificaterequests.cert-manager.io", namespace=text(metadata.get("namespace"))):
        if text(mapping(mapping(request.get("metadata")).get("annotations")).get("cert-manager.io/certificate-name")) == metadata.get("name"):
            approved = condition(request, "Approved").get("status") == "True"
            said.append(f"request {'approved' if approved else 'not approved'}: {text(condition(request, 'Ready').get('message'))}")
            said += [text(mapping(each.get("status")).get("reason")) for each in _challenges(kubectl, request)]
    return "; ".join(part for part in said if part)


def _challenges(kubectl: Kubectl, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The challenges of a request: their names begin with its own."""
    metadata = mapping(request.get("metadata"))
    if " from order " not in text(condition(request, "Ready").get("message")):
        return []
    found = kubectl.list("challenges.acme.cert-manager.io", namespace=text(metadata.get("namespace")))
    return [each for each in found if text(mapping(each.get("metadata")).get("name")).startswith(text(metadata.get("name")))]


def renew(kubectl: Kubectl, name: str, namespace: str, *, now: datetime | None = None) -> None:
    """Have a Certificate issued again now, as ``cmctl renew`` does."""
    found = kubectl.json("get", KIND, name, f"--namespace={namespace}")
    others = [item for item in map(mapping, items(mapping(found.get("status")).get("conditions"))) if item.get("type") != "Issuing"]
    when = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": when,
        "observedGeneration": mapping(found.get("metadata")).get("generation"),
    }
    patch = {"status": {"conditions": [*others, issuing]}}
    kubectl("patch", KIND, name, f"--namespace={namespace}", "--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
