"""What a bad day needs: what is short of pods, a certificate that is over, connections that are refused and go again whatever happens."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.live.chaos import expired, opened, refused, workloads_unready
from harness.live.ground.cluster import Cluster, Wanted
from harness.live.ground.cluster import Programs as Tools
from harness.live.reach.run import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"namespace": "a", "name": "b", "generation": 2}, "spec": spec, "status": {"observedGeneration": 2, **status}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (workload("Deployment", {"replicas": 2}, {"readyReplicas": 2}), []),
        (workload("Deployment", {}, {}), ["Deployment/a/b: 0 of 1 ready"]),
        (workload("Deployment", {"replicas": 0}, {}), []),
        (workload("StatefulSet", {"replicas": 1}, {"readyReplicas": 1, "observedGeneration": 1}), ["StatefulSet/a/b: 1 of 1 ready"]),
        (workload("DaemonSet", {}, {"desiredNumberScheduled": 2, "numberReady": 1}), ["DaemonSet/a/b: 1 of 2 ready"]),
        (workload("DaemonSet", {}, {"desiredNumberScheduled": 0}), []),
    ],
    ids=["ready", "no-status", "none-wanted", "older-generation", "daemon", "no-node"],
)
def test_what_is_short_of_pods(body: dict[str, Any], said: list[str]) -> None:
    assert workloads_unready([body]) == said


def made(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=90)).sign(key, hashes.SHA256())


def test_an_expired_certificate_is_like_the_one_before() -> None:
    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    key = authority.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode()
    before = made("podinfo.example.com", leaf)
    over = x509.load_pem_x509_certificate(expired(before.public_bytes(pem).decode(), made("ca", authority).public_bytes(pem).decode(), key, NOW).encode())
    assert over.not_valid_after_utc == NOW - dt.timedelta(days=1)
    assert (over.subject, list(over.extensions), over.public_key()) == (before.subject, list(before.extensions), leaf.public_key())
    over.verify_directly_issued_by(made("ca", authority))
    assert over.serial_number != before.serial_number


def test_values_of_a_secret() -> None:
    assert opened({"data": {"a": "aGk="}}) == {"a": "hi"}
    assert opened({}) == {}


@pytest.mark.parametrize("fail", [lambda: None, lambda: 1 / 0], ids=["well", "with-an-error"])
def test_what_is_refused_is_let_through_again(fail: Callable[[], object]) -> None:
    asked: list[list[str]] = []

    def runner(argv: Sequence[str], **_more: object) -> Output:
        asked.append(list(argv))
        return Output({"get": "one-control-plane\n", "inspect": "172.18.0.9\n"}.get(argv[1], ""))

    cluster = Cluster(Wanted("one"), Tools("kind", "kubectl", "docker"), Path("/nowhere"), runner)
    with suppress(ZeroDivisionError), refused(cluster, "registry"):
        fail()
    made, mended = (argv for argv in asked if argv[1] == "exec")
    assert made[2] == mended[2] == "one-control-plane"
    assert made[-1].startswith("iptables --insert FORWARD --destination 172.18.0.9 ")
    # By itself too, should this run end.
    assert "sleep 600; iptables --delete FORWARD --destination 172.18.0.9 " in made[-1]
    assert "iptables --delete FORWARD --destination 172.18.0.9 " in mended[-1]
