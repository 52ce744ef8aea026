"""Asking an issuer, forcing a renewal, and reading what came: with certificates made here and a kubectl that answers from a list."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from harness.live.faults import LABEL, marked_as_temporary
from harness.live.ingress.certificates import asked, certificate, issued_of, names_in, renew, signed_by
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.wait import WaitTimeoutError
from harness.live.sync.reconcile import condition as condition_of

from .fakes import Programs, Time, condition

KC = ("kubectl", "--kubeconfig=/k")
NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
Made = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make(name: str, *names: str, by: Made | None = None) -> Made:
    """A certificate, signed by itself or by another one."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(own if by is None else by[0].subject, own, key.public_key(), x509.random_serial_number(), NOW, NOW + timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    return builder.sign(key if by is None else by[1], SHA256()), key


def secret(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> dict[str, Any]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if key is not None else b"no key"
    data = {"tls.crt": certificate.public_bytes(Encoding.PEM), "tls.key": private}
    return {"data": {name: base64.b64encode(value).decode() for name, value in data.items()}}


def kubectl(programs: Programs) -> Kubectl:
    return Kubectl("kubectl", Path("/k"), runner=programs)


def test_a_secret_holds_a_certificate_and_its_key() -> None:
    own, key = make("a", "b.example.com", "a.example.com")
    found = issued_of(secret(own, key))
    assert (found.serial, found.matches, found.chain) == (own.serial_number, True, ())
    assert names_in(found.certificate) == ("a.example.com", "b.example.com")
    assert not issued_of(secret(own, make("b")[1])).matches
    with pytest.raises(ValueError, match="is no private key") as caught:
        issued_of(secret(own, None))
    assert caught.value.__suppress_context__


def test_signatures_are_checked_not_names() -> None:
    root, other = make("root"), make("root")
    leaf, _key = make("leaf", by=root)
    assert names_in(leaf) == ()
    assert signed_by(leaf, [make("else")[0], root[0]])
    assert not signed_by(leaf, [other[0]])
    assert not signed_by(leaf, [])
    assert signed_by(root[0], [root[0]])


def test_conditions_of_anything() -> None:
    body = {"status": {"conditions": [condition("Ready", "True"), condition("Issuing", "False")]}}
    assert condition_of(body, "Ready")["status"] == "True"
    assert condition_of(body, "Absent") == {}
    assert condition_of(None, "Ready") == {}


@pytest.fixture
def programs() -> Programs:
    body = marked_as_temporary(asked("proof-1", "platform-ca"))
    found = Programs()
    found.on(*KC, "apply", "--server-side", "--field-manager=plimsoll", "--validate=strict", "--filename=-", "--force-conflicts")
    kind = "Certificate.v1.cert-manager.io"
    found.on(*KC, "delete", kind, "proof-1", "--namespace=cert-manager", "--ignore-not-found", "--timeout=60s")
    found.on(*KC, "delete", "secrets", "proof-1", "--namespace=cert-manager", "--ignore-not-found", "--timeout=60s")
    assert body["metadata"]["labels"] == body["spec"]["secretTemplate"]["labels"] == {LABEL: "true"}
    return found


GET = (*KC, "get", "certificates.cert-manager.io", "proof-1", "--namespace=cert-manager", "--output=json")


def test_a_certificate_is_there_for_a_block(programs: Programs) -> None:
    programs.on(*GET, says={"metadata": {"name": "proof-1"}}).on(*GET, says={"status": {"conditions": [condition("Ready", "True")]}})
    programs.on(*KC, "get", "certificaterequests.cert-manager.io", "--all-namespaces", "--output=json", says={"items": []})
    programs.on(*KC, "get", "certificaterequests.cert-manager.io", "--output=json", says={"items": []})
    made = make("a", "proof-1.cert-manager.svc")
    programs.on(*KC, "get", "secrets", "proof-1", "--namespace=cert-manager", "--output=json", says=secret(*made))
    with certificate(kubectl(programs), asked("proof-1", "platform-ca"), clock=Time().clock) as found:
        assert found.serial == made[0].serial_number
        assert not any("delete" in asked for asked in programs.asked)
    assert [asked[3:5] for asked in programs.asked if "delete" in asked] == [("Certificate.v1.cert-manager.io", "proof-1"), ("secrets", "proof-1")]


def test_what_it_waits_for_is_said_and_nothing_stays(programs: Programs) -> None:
    metadata = {"name": "proof-1", "namespace": "cert-manager"}
    programs.on(*GET, says={"metadata": metadata, "status": {"conditions": [condition("Issuing", "True", message="Issuing certificate")]}})
    request = {
        "metadata": {"annotations": {"cert-manager.io/certificate-name": "proof-1"}},
        "status": {"conditions": [condition("Ready", "False", message="Waiting for approval")]},
    }
    programs.on(*KC, "get", "certificaterequests.cert-manager.io", "--namespace=cert-manager", "--output=json", says={"items": [request, {"metadata": {}}]})
    with (
        pytest.raises(WaitTimeoutError, match=r"Certificate cert-manager/proof-1\nIssuing certificate; request not approved: Waiting for approval"),
        certificate(kubectl(programs), asked("proof-1", "platform-ca"), clock=Time().clock),
    ):
        pass
    assert [asked[3] for asked in programs.asked if "delete" in asked] == ["Certificate.v1.cert-manager.io", "secrets"]


def test_a_challenge_says_what_it_waits_for(programs: Programs) -> None:
    programs.on(*GET, says={"metadata": {"name": "proof-1", "namespace": "cert-manager"}})
    request = {
        "metadata": {"name": "proof-1-1", "namespace": "cert-manager", "annotations": {"cert-manager.io/certificate-name": "proof-1"}},
        "status": {"conditions": [condition("Approved", "True"), condition("Ready", "False", message="Waiting on certificate issuance from order a/b")]},
    }
    challenges = [{"metadata": {"name": "proof-1-1-7"}, "status": {"reason": "the solver is refused"}}, {"metadata": {"name": "proof-2-1-7"}, "status": {}}]
    where = ("--namespace=cert-manager", "--output=json")
    programs.on(*KC, "get", "certificaterequests.cert-manager.io", *where, says={"items": [request]})
    programs.on(*KC, "get", "challenges.acme.cert-manager.io", *where, says={"items": challenges})
    with (
        pytest.raises(WaitTimeoutError, match=r"request approved: Waiting on certificate issuance from order a/b; the solver is refused$"),
        certificate(kubectl(programs), asked("proof-1", "platform-ca"), clock=Time().clock),
    ):
        pass


def test_a_renewal_keeps_what_the_status_says() -> None:
    ready = condition("Ready", "True")
    body = {"metadata": {"generation": 4}, "status": {"conditions": [ready, condition("Issuing", "False")]}}
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": "2026-11-28T06:00:00Z",
        "observedGeneration": 4,
    }
    patch = json.dumps({"status": {"conditions": [ready, issuing]}})
    where = ("certificates.cert-manager.io", "web", "--namespace=apps")
    programs = Programs().on(*KC, "get", *where, "--output=json", says=body)
    programs.on(*KC, "patch", *where, "--subresource=status", "--type=merge", f"--patch={patch}")
    renew(kubectl(programs), "web", "apps", now=NOW)
    assert len(programs.asked) == 2
