"""``certificates list`` and ``certificates matrix``: on plain manifests, in both formats, with their exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said

ROOT = """\
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: root, namespace: shop}
spec: {selfSigned: {}}
"""
CERTIFICATE = """\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web, namespace: shop}
spec:
  secretName: web-tls
  isCA: true
  dnsNames: [shop.example.com]
  issuerRef: {kind: Issuer, name: root}
"""
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: nginx
  tls:
    - hosts: [HOST]
      secretName: web-tls
  rules:
    - host: HOST
"""


@pytest.fixture
def look(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    """A member of ``certificates`` on documents."""

    def run(member: str, *documents: str, options: tuple[str, ...] = ()) -> Said:
        (tmp_path / "all.yaml").write_text("---\n".join(documents), encoding="utf-8")
        return command("certificates", member, "--repo", str(tmp_path), "--manifests", str(tmp_path / "all.yaml"), *options)

    return run


def test_the_matrix_names_the_chain_of_a_host(look: Callable[..., Said]) -> None:
    said = look("matrix", ROOT, CERTIFICATE, INGRESS.replace("HOST", "shop.example.com"))
    assert said.code == 0
    assert said.out.splitlines() == [
        "shop.example.com  Ingress/shop/web  class nginx",
        "  TLS from unknown, redirect unknown, HSTS unknown",
        "  Secret shop/web-tls by Certificate web: covers the host",
        "  names shop.example.com",
        "  signed by Issuer root (self-signed)",
        "1 hosts, 0 without a certificate that covers them",
    ]


def test_the_matrix_fails_for_a_host_that_is_not_covered(look: Callable[..., Said]) -> None:
    said = look("matrix", ROOT, CERTIFICATE, INGRESS.replace("HOST", "other.example.com"), options=("--format", "json"))
    row = json.loads(said.out)[0]
    assert (said.code, row["host"], row["covered"], row["certificate"], row["chain"]) == (1, "other.example.com", False, "shop/web", ["Issuer root"])
    assert row["unknown"] == "controller nginx is not in this cluster, or not known here"


def test_the_list_tells_what_is_issued_and_where_a_chain_breaks(look: Callable[..., Said]) -> None:
    assert look("list", ROOT, CERTIFICATE).code == 0
    said = look("list", ROOT, CERTIFICATE.replace("isCA: true", "isCA: false"))
    assert (said.code, said.out.splitlines()[-1]) == (1, "1 certificates")
    assert "  broken: Certificate web signs itself through root and is no authority" in said.out
    entry = json.loads(look("list", ROOT, CERTIFICATE, options=("--format", "json")).out)[0]
    assert (entry["certificate"], entry["duration"], entry["key"], entry["ends"]) == ("shop/web", "2160h", "RSA", "self-signed")


def test_nothing_to_look_at_is_said(tmp_path: Path, command: Callable[..., Said]) -> None:
    said = command("certificates", "matrix", "--repo", str(tmp_path), "--manifests", str(tmp_path / "gone"))
    assert (said.code, "does not exist" in said.err) == (2, True)
